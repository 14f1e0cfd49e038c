"""Work that is done to its end, even when whoever waits for it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


async def settled(future: asyncio.Future[T]) -> None:
    """Return when `future` has ended, whatever becomes of who waits."""
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError:
            continue


async def undisturbed(work: Awaitable[T]) -> T:
    """Wait for `work`; a cancellation is heeded when it has ended, and what it gave is let go."""
    doing = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await settled(doing)
        if not doing.cancelled():
            doing.exception()  # nobody else asks for it
        raise


async def finished(work: Callable[[], T], threads: Executor | None = None) -> T:
    """Do `work` in a thread; a cancellation is heeded when it is done."""
    return await undisturbed(asyncio.get_running_loop().run_in_executor(threads, work))


@asynccontextmanager
async def beside(work: Awaitable[T]) -> AsyncIterator[asyncio.Future[T]]:
    """Do `work` beside the block; what the block has not waited for is given up at its end."""
    doing = asyncio.ensure_future(work)
    try:
        yield doing
    finally:
        doing.cancel()
        await asyncio.wait([doing])
        if not doing.cancelled():
            doing.exception()  # nobody else asks for it


@asynccontextmanager
async def in_thread(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a context in threads; what was entered is left, whatever happens."""
    loop = asyncio.get_running_loop()
    entering = loop.run_in_executor(None, manager.__enter__)
    try:
        value = await asyncio.shield(entering)
    except asyncio.CancelledError as error:
        await settled(entering)
        if entering.exception() is None:
            await _left(manager, error)
        raise
    try:
        yield value
    except BaseException as error:
        if not await _left(manager, error):
            raise
    else:
        await finished(lambda: manager.__exit__(None, None, None))


async def _left(manager: AbstractContextManager[T], error: BaseException) -> bool | None:
    return await finished(lambda: manager.__exit__(type(error), error, error.__traceback__))
