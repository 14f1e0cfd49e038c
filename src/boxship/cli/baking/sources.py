"""Where the text of definitions comes from."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from boxship.errors import InvalidRequest

LARGEST: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class File:
    """A file that has been read."""

    name: str
    text: str


class Missing(InvalidRequest):
    """There is no such file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"open {path}: no such file or directory")


# Reads a file that a definition refers to, by its path from where the definition's paths begin.
Read = Callable[[str], str]


def read_here(path: str) -> str:
    """Read a file of this machine."""
    try:
        with open(path, "rb") as file:
            return decoded(path, file.read(LARGEST + 1))
    except FileNotFoundError:
        raise Missing(path) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidRequest(f"open {path}: {reason}") from None


def read_input() -> str:
    """Read standard input."""
    data = b""
    while piece := os.read(0, 64 << 10):
        data += piece
        if len(data) > LARGEST:
            break
    return decoded("-", data)


def decoded(path: str, data: bytes) -> str:
    """Return a file's bytes as text."""
    if len(data) > LARGEST:
        raise InvalidRequest(f"{path} is larger than {LARGEST >> 20} MiB")
    try:
        return data.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise InvalidRequest(f"{path} is not UTF-8") from None
