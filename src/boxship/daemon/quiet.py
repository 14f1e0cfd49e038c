"""What is done when nothing else is: memory that a burst of work has taken goes back."""

from __future__ import annotations

import asyncio
import gc
from time import process_time
from typing import Final

from boxship.shim import memory

LOOKS: Final = 5.0  # seconds between looks
QUIET: Final = 0.05  # seconds of CPU time between two looks that are no work
WORK: Final = 0.2  # seconds of CPU time after which there may be something to give back


async def give_back() -> None:
    """Give freed memory back to the kernel each time that work has ended; never ends."""
    given_back = last = process_time()
    while True:
        await asyncio.sleep(LOOKS)
        now = process_time()
        if now - last < QUIET and now - given_back > WORK:
            gc.collect()
            memory.trim()
            now = given_back = process_time()
        last = now
