"""Waiting for something to become true, with a deadline that a loaded machine keeps."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.support.engine import PATIENCE

OFTEN = 0.02


def wait_until(holds: Callable[[], object], within: float = 90.0) -> None:
    """Ask again until it holds."""
    deadline = time.monotonic() + within * PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not become true in time"
        time.sleep(OFTEN)
