"""Trying again until something has come to be, which the kernel does not tell by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator


def attempts(
    within: float,
    first: float,
    longest: float,
    wait: Callable[[float], object] = time.sleep,
) -> Iterator[None]:
    """Yield for each attempt until `within` seconds are over, with pauses that grow between."""
    deadline = time.monotonic() + within
    pause = first
    while True:
        yield
        if time.monotonic() > deadline:
            return
        wait(pause)
        pause = min(pause * 2, longest)
