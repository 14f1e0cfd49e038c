"""Bytes to a descriptor, gathered so that a command writes once."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

GATHER = 64 * 1024


class Output:
    """A descriptor to write to."""

    __slots__ = ("_parts", "_size", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, text: str) -> None:
        """Write text; a byte that was no UTF-8 when it came in goes out as it came."""
        self.write_bytes(text.encode("utf-8", "surrogateescape"))

    def line(self, text: str) -> None:
        self.write(text + "\n")

    def write_bytes(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= GATHER:
            self.flush()

    def flush(self) -> None:
        """Hand everything to the kernel."""
        parts, self._parts, self._size = self._parts, [], 0
        if parts:
            write_all(self.descriptor, parts[0] if len(parts) == 1 else b"".join(parts))

    def is_terminal(self) -> bool:
        return posix.isatty(self.descriptor)


def write_all(descriptor: int, data: Buffer) -> None:
    """Write all of `data`, however long the reader takes, also where writing does not block."""
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(descriptor, view) :]
        except BlockingIOError:
            import select

            select.select((), (descriptor,), ())
