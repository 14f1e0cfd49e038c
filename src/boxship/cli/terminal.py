"""The caller's own terminal: raw mode, size, the keys that detach from it."""

from __future__ import annotations

import posix

from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def detach_bytes(text: str) -> bytes:
    """Read `ctrl-p,ctrl-q` or `a,b` as the bytes that such keys send."""
    found = bytearray()
    for key in text.split(","):
        if len(key) == 1 and key.isascii():
            found += key.encode()
            continue
        letter = key.removeprefix("ctrl-")
        if letter == key or len(letter) != 1:
            raise InvalidRequest(f"invalid detach keys ({text}): Unknown character: '{key}'")
        if "a" <= letter <= "z":
            found.append(ord(letter) - ord("a") + 1)
        elif letter in CONTROL:
            found.append(CONTROL[letter])
        else:
            raise InvalidRequest(f"invalid detach keys ({text}): Unknown character: '{key}'")
    return bytes(found)


class Detached(Exception):
    """The keys that detach have been pressed."""


class KeyWatch:
    """Watches input for the detach keys; bytes that may be their beginning are held back."""

    __slots__ = ("_held", "_keys")

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = 0

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return what is to be sent on, and whether the sequence is now complete."""
        if not self._keys:
            return data, False
        out = bytearray()
        for byte in data:
            if byte == self._keys[self._held]:
                self._held += 1
                if self._held == len(self._keys):
                    return bytes(out), True
                continue
            if self._held:
                out += self._keys[: self._held]
                self._held = 1 if byte == self._keys[0] else 0
                if self._held:
                    continue
            out.append(byte)
        return bytes(out), False


class RawMode:
    """A terminal that hands over every byte as it is typed, until the block ends."""

    __slots__ = ("_descriptor", "_kept")

    def __init__(self, descriptor: int, wanted: bool) -> None:
        self._descriptor = descriptor if wanted and posix.isatty(descriptor) else -1
        self._kept: list[Any] | None = None

    def __enter__(self) -> RawMode:
        if self._descriptor >= 0:
            import termios

            self._kept = termios.tcgetattr(self._descriptor)
            mode = termios.tcgetattr(self._descriptor)
            mode[0] &= ~(
                termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
                | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON
            )  # fmt: skip
            mode[1] &= ~termios.OPOST
            mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
            mode[3] &= ~(
                termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
            )
            mode[6][termios.VMIN] = 1
            mode[6][termios.VTIME] = 0
            termios.tcsetattr(self._descriptor, termios.TCSANOW, mode)
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            import termios

            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._kept)
            self._kept = None


def size(descriptor: int = 1) -> tuple[int, int]:
    """Return height and width of a terminal; zeros when it is none."""
    try:
        found = posix.get_terminal_size(descriptor)
    except OSError:
        return 0, 0
    return found.lines, found.columns
