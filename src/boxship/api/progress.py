"""Long work in a thread, told to the client as a stream of JSON messages.

What fails before anything was said gets its proper status; what fails later is a last message,
because the status has gone out.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any, Final

import msgspec

from boxship.api.routing import Call, Stream
from boxship.api.status import sentence_of
from boxship.errors import BoxshipError
from boxship.lib.filepart import FilePart
from boxship.lib.mailbox import Mailbox
from boxship.lib.pipe import Abandoned, Pipe

END_OF_MESSAGE: Final = b"\r\n"
PIECE: Final = 1 << 18
HELD: Final = 16 << 20  # characters that a quiet build keeps
LULL: Final = 0.005  # seconds between two writes: what is said meanwhile goes out in one

Say = Callable[[Mapping[str, Any]], None]


class Held:
    """Keeps the last of what a quiet build would say, for when it fails."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._kept: deque[Mapping[str, Any]] = deque()
        self._size = 0

    def keep(self, message: Mapping[str, Any]) -> None:
        """Take a message; where there is no room, the oldest go."""
        self._kept.append(message)
        self._size += _length(message)
        while self._size > HELD:
            self._size -= _length(self._kept.popleft())

    def tell(self) -> bool:
        """Say all of it; return whether there was anything."""
        for message in self._kept:
            self._say(message)
        return bool(self._kept)


def _length(message: Mapping[str, Any]) -> int:
    return sum(len(said) for said in message.values() if isinstance(said, str))


def message(document: Mapping[str, Any]) -> bytes:
    """Return one message as it goes out."""
    return msgspec.json.encode(document, enc_hook=str) + END_OF_MESSAGE


class _Said:
    """Messages for a client: said in any thread, taken by one coroutine, as many as there are."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._box: Mailbox[bytes | None] = Mailbox(self._take)

    def say(self, document: Mapping[str, Any]) -> None:
        self._box.put(message(document))

    def end(self) -> None:
        self._box.put(None)

    def _take(self, one: bytes | None) -> None:
        if one is None:
            self._over.set()
        else:
            self._messages.append(one)
        self._news.set()

    async def taken(self) -> tuple[bytes, ...]:
        """Return what has been said, once there is something; nothing when all is said."""
        await self._news.wait()
        if not self._over.is_set():
            self._news.clear()
        messages = tuple(self._messages)
        self._messages.clear()
        return messages

    async def lull(self) -> None:
        """Let a little more be said, unless that is all."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LULL):
                await self._over.wait()


async def narrated(work: Callable[[Say], None], *, failures_in_stream: bool = False) -> Stream:
    """Do `work` in a thread; return the stream of what it says, once it has said something.

    With `failures_in_stream` a failure is always a message, where clients know it as no other. The
    work goes on when the client leaves: what was begun is finished.
    """
    said = _Said()

    def perform() -> None:
        try:
            work(said.say)
        finally:
            said.end()

    running = asyncio.ensure_future(asyncio.to_thread(perform))
    first = await said.taken()
    if not first and not failures_in_stream:
        await running
    return Stream(HTTPStatus.OK, _messages(first, said, running))


async def told(work: Callable[[Say], Awaitable[None]]) -> Stream:
    """Do `work`; return the stream of what it says, once it has said something.

    The work ends when the client leaves.
    """
    said = _Said()

    async def perform() -> None:
        try:
            await work(said.say)
        finally:
            said.end()

    running = asyncio.create_task(perform())
    try:
        first = await said.taken()
        if not first:
            await running
    except asyncio.CancelledError:
        await _stopped(running)
        raise
    return Stream(HTTPStatus.OK, _while_wanted(first, said, running))


async def _while_wanted(
    first: tuple[bytes, ...], said: _Said, running: asyncio.Task[None]
) -> AsyncIterator[tuple[bytes, ...]]:
    try:
        async for messages in _messages(first, said, running):
            yield messages
    finally:
        await _stopped(running)


async def _stopped(running: asyncio.Task[None]) -> None:
    """End a task, and return when it has given back what it took."""
    running.cancel()
    await asyncio.wait([running])


async def _messages(
    first: tuple[bytes, ...], said: _Said, running: asyncio.Future[None]
) -> AsyncIterator[tuple[bytes, ...]]:
    messages = first
    while messages:
        yield messages
        await said.lull()
        messages = await said.taken()
    try:
        await running
    except (BoxshipError, OSError) as error:
        text = sentence_of(error)
        yield (message({"errorDetail": {"message": text}, "error": text}),)


@asynccontextmanager
async def body(call: Call) -> AsyncIterator[Iterable[bytes]]:
    """The request's body, for one thread to read while the block runs.

    The thread reads the socket itself where it can; else what the loop reads is handed over.
    """
    direct = call.hand_over()
    if direct is not None:
        try:
            yield direct
        finally:
            direct.stop()
            call.take_back(direct)
        return
    pipe = Pipe()
    feeding = asyncio.ensure_future(fed(call.stream(), pipe))
    try:
        yield pipe
    finally:
        if not feeding.done():
            feeding.cancel()
        await asyncio.wait([feeding])


async def fed(pieces: AsyncIterator[bytes], pipe: Pipe) -> None:
    """Hand a request's body over to a thread; what breaks it off, the thread meets too."""
    try:
        async for piece in pieces:
            if not pipe.offer(piece):
                await asyncio.to_thread(pipe.wait)
    except Abandoned:
        return  # the thread has failed, and says why
    except BaseException as error:
        pipe.end(error)
        raise
    pipe.end()


async def drawn(pieces: Iterator[bytes | FilePart]) -> AsyncIterator[bytes | FilePart]:
    """Yield what a plain iterator makes in a thread, in pieces worth sending.

    A part of a file goes on as it is; the iterator is asked for more when it has been sent.

    However this ends, the iterator is closed: a client that leaves is noticed twice, by what was
    to be sent to it and by its connection, so the closing itself must survive a cancellation.
    """
    drawing = threading.Lock()  # a generator that runs cannot be closed
    held: list[FilePart] = []

    def more() -> bytes | FilePart:
        if held:
            return held.pop()
        parts: list[bytes] = []
        size = 0
        with drawing:
            for part in pieces:
                if isinstance(part, FilePart):
                    if not parts:
                        return part
                    held.append(part)
                    break
                parts.append(part)
                size += len(part)
                if size >= PIECE:
                    break
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close() -> None:
        with drawing:
            pieces.close()  # type: ignore[attr-defined]

    try:
        while piece := await asyncio.to_thread(more):
            yield piece
    finally:
        if hasattr(pieces, "close"):
            await asyncio.shield(asyncio.to_thread(close))
