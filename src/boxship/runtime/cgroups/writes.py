"""A limit as a value: which file gets which words; and what both versions work out alike."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from boxship.errors import InvalidRequest

PERIOD: Final = 100_000  # microseconds; what the kernel and Docker start from
UNLIMITED: Final = -1
PAGE_SIZE: Final = re.compile(r"[0-9]+[KMG]B")
Read = Callable[[str], str | None]
"""The content of one of the group's files, None where the kernel has no such file."""


@dataclass(frozen=True, slots=True)
class Write:
    """Put `value` into `file`, whose name begins with its controller's.

    An optional write asks only for what a kernel without that file does anyway.
    """

    file: str
    value: str
    optional: bool = False


def quota_of(nano_cpus: int) -> tuple[int, int]:
    """Return quota and period, in microseconds, for a billionth of a CPU's time `nano_cpus`."""
    return nano_cpus * PERIOD // 1_000_000_000, PERIOD


def weight_of_shares(shares: int) -> int:
    """Return v2's CPU weight for v1's shares, so that both defaults meet: 1024 is 100.

    The curve that runtimes have agreed on goes through (2, 1), (1024, 100) and (262144, 10000).
    """
    if shares <= 2:
        return 1
    if shares >= 262_144:
        return 10_000
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def io_weight_of(blkio_weight: int) -> int:
    """Return v2's io.weight (1 to 10000) for Docker's blkio weight (10 to 1000)."""
    return 1 + (blkio_weight - 10) * 9999 // 990


def page_size(name: str) -> str:
    """Check the size that is part of a hugetlb file's name: 2MB, 1GB."""
    if not PAGE_SIZE.fullmatch(name):
        raise InvalidRequest(f"invalid huge page size: {name!r}")
    return name
