"""Keys in memory, for trying things out; what is kept ends with the process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

from boxship.registry.storage.driver import NoSuchKey, Stat


class MemoryContent:
    """Bytes that are open for reading."""

    file: BinaryIO | None = None

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, offset: int, count: int) -> bytes:
        return self._data[offset : offset + count]

    def close(self) -> None:
        pass


class Memory:
    """Keeps bytes in a dictionary."""

    local = True

    def __init__(self, spool: str) -> None:
        self._kept: dict[str, tuple[bytes, float]] = {}
        self._spool = spool
        self._lock = threading.Lock()

    def read(self, key: str) -> bytes:
        try:
            return self._kept[key][0]
        except KeyError:
            raise NoSuchKey(key) from None

    def stat(self, key: str) -> Stat | None:
        found = self._kept.get(key)
        return Stat(len(found[0]), found[1]) if found else None

    def open(self, key: str) -> MemoryContent:
        return MemoryContent(self.read(key))

    def write(self, key: str, data: bytes) -> None:
        with self._lock:
            self._kept[key] = data, time.time()

    def adopt(self, path: str, key: str) -> None:
        with open(path, "rb") as file:
            self.write(key, file.read())
        os.unlink(path)

    def names(self, key: str) -> list[str]:
        below = key + "/"
        with self._lock:
            found = {
                one[len(below) :].partition("/")[0]
                for one in self._kept
                if one[: len(below)] == below
            }
        return sorted(found)

    def delete(self, key: str) -> None:
        below = key + "/"
        with self._lock:
            for one in [one for one in self._kept if one == key or one.startswith(below)]:
                del self._kept[one]

    def touch(self, key: str) -> None:
        with self._lock:
            if key in self._kept:
                self._kept[key] = self._kept[key][0], time.time()

    def location(self, key: str) -> str | None:
        return None

    def leftovers(self, age: float) -> Iterator[tuple[str, int]]:
        return iter(())

    def spool(self) -> str:
        return self._spool

    def free(self) -> int | None:
        return None
