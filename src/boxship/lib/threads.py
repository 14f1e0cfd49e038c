"""Threads that end with their work: they may enter namespaces, which no pool's thread may.

Nor may a pool's thread look at what may keep it: a dead server's files, a frozen filesystem.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
Tell = Callable[[T], None]


async def performed(name: str, work: Callable[[Tell[T]], None]) -> T:
    """Do `work` in a thread of its own; return what it tells, which it may do before its end.

    What it raises before that is raised here. It goes on when whoever waits is cancelled.
    """
    loop = asyncio.get_running_loop()
    told: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if told.done():
            return
        if error is not None:
            told.set_exception(error)
        else:
            told.set_result(value)  # type: ignore[arg-type]

    def pass_on(value: T | None, error: BaseException | None = None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, value, error)

    def run() -> None:
        try:
            work(pass_on)
        except BaseException as error:
            pass_on(None, error)
        else:
            pass_on(None, RuntimeError(f"{name}: ended without a word"))

    threading.Thread(target=run, name=name, daemon=True).start()
    return await told


async def visited(name: str, work: Callable[[], T]) -> T:
    """Do `work` in a thread of its own, which may never come back, and return what it returns."""
    return await performed(name, lambda tell: tell(work()))


def apart(name: str, work: Callable[[], T]) -> T:
    """Do `work` in a thread of its own, and wait for it; not to be called by the event loop."""
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]
