"""Points in time as people give them to `--since` and `--until`."""

from __future__ import annotations

import re
import time
from typing import Final

from boxship.lib import duration, moments

SECOND: Final = 1_000_000_000
_SECONDS: Final = re.compile(r"(-?\d{1,12})(?:\.(\d{1,9})\d*)?", re.ASCII)
_DATE: Final = re.compile(
    r"(\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01]))"
    r"(?:T((?:[01]\d|2[0-3])(?::[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d{1,9})?)?)?))?"
    r"(Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)


def parse(text: str, now: int) -> int:
    """Read seconds since 1970, a date and time, or a length of time before `now`.

    The date may stop at the day, the hour or the minute, and without a zone it is local. Returns
    nanoseconds since 1970; ValueError when it is none of these.
    """
    if found := _SECONDS.fullmatch(text):
        part = int((found[2] or "0").ljust(9, "0"))
        return int(found[1]) * SECOND + (-part if text.startswith("-") else part)
    if found := _DATE.fullmatch(text):
        clock = found[2] or "00:00:00"
        clock += ":00" * (2 - clock.count(":"))
        if found[3]:
            return moments.parse(f"{found[1]}T{clock}{found[3]}")
        at = moments.parse(f"{found[1]}T{clock}Z")
        return at - _local_offset(at // SECOND) * SECOND
    try:
        return now - duration.parse(text)
    except ValueError:
        raise ValueError(f'failed to parse value as time or duration: "{text}"') from None


def _local_offset(clock: int) -> int:
    """Return the zone's offset in seconds at the moment a local clock shows `clock`."""
    first = time.localtime(clock).tm_gmtoff
    return time.localtime(clock - first).tm_gmtoff
