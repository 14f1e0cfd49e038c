"""The caller's terminal, or pipe, for one reader after the other."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from enum import Enum
from typing import Final

PREFIX: Final = 1  # Ctrl-a
AHEAD: Final = 4  # pieces of input that wait


class Key(Enum):
    """What may follow the prefix."""

    SWITCH = "c"
    EXIT = "x"
    HELP = "h"


class Escapes:
    """Finds the prefix and its keys in what is typed; whatever else follows it goes on as typed."""

    def __init__(self) -> None:
        self._begun = False

    def feed(self, data: bytes) -> Iterator[bytes | Key]:
        """Yield what goes on, and keys, in order."""
        plain = bytearray()
        for byte in data:
            if self._begun:
                self._begun = False
                key = next((one for one in Key if one.value == chr(byte)), None)
                if key is None:
                    plain += bytes([PREFIX, byte]) if byte != PREFIX else bytes([PREFIX])
                    continue
                if plain:
                    yield bytes(plain)
                    plain.clear()
                yield key
            elif byte == PREFIX:
                self._begun = True
            else:
                plain.append(byte)
        if plain:
            yield bytes(plain)


class Console:
    """Reads standard input where it holds up nobody; what was read stays until somebody asks."""

    def __init__(self) -> None:
        self.is_terminal = os.isatty(0)
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue(AHEAD)
        self._left = b""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        data = b"x"
        while data:
            try:
                data = os.read(0, 1 << 16)
            except OSError:  # the terminal has gone
                data = b""
            asyncio.run_coroutine_threadsafe(self._pieces.put(data), self._loop).result()

    async def read(self) -> bytes:
        """Return what comes next, empty at the end."""
        if self._left:
            data, self._left = self._left, b""
            return data
        return await self._next()

    def put_back(self, data: bytes) -> None:
        """Have what was read be read again."""
        self._left = data + self._left

    async def line(self) -> str | None:
        """Return the next line, None at the end."""
        while b"\n" not in self._left:
            data = await self._next()
            if not data:
                rest, self._left = self._left, b""
                return rest.decode(errors="replace") if rest else None
            self._left += data
        line, _, self._left = self._left.partition(b"\n")
        return line.decode(errors="replace")

    async def _next(self) -> bytes:
        data = await self._pieces.get()
        if not data:
            self._pieces.put_nowait(b"")  # it is the end for whoever asks again
        return data
