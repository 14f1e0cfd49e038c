"""A plan for a process: system calls in order, as plain values.

What a container or an exec needs between its clone and its program is written down as a
`Program`: calls by name with their arguments, what of each may fail and what follows then. It can
be printed and compared. Two executors perform it: `table`, without any of our code in the new
process, and `plain`, in Python.

A call's argument may be the result of an earlier one. Control is as simple as can be: after a
tolerated error, or after success, a call may go on elsewhere than at the next.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from boxship.runtime.talk import VALUE as VALUE

# A Struct where elsewhere a frozen dataclass would do: a start makes two hundred of these.


class Result(Struct, frozen=True):
    """What the call at `index` returned."""

    index: int


class Strings(Struct, frozen=True):
    """A NULL-terminated vector of strings, as execve(2) takes."""

    items: tuple[bytes, ...]


class Filter(Struct, frozen=True):
    """A seccomp program, as seccomp(2) takes it."""

    code: bytes


class Scratch(Struct, frozen=True):
    """Memory that the kernel may write to; the same `name` is the same memory."""

    name: str
    size: int


Argument = int | bytes | Result | Strings | Filter | Scratch

ANY: Final = (1 << 64) - 1


def tolerating(*numbers: int) -> int:
    """Return the set of errors with these numbers; those from 64 on share bit 0."""
    mask = 0
    for number in numbers:
        mask |= 1 << (number if number < 64 else 0)
    return mask


MISSING: Final = tolerating(errno.ENOENT, errno.ENOTDIR)


class Call(Struct, frozen=True):
    """One system call.

    `tolerated` errors go on at `on_tolerated`; with `lenient` all other errors go on at the next
    call; else an error ends the program. Success goes on at `on_success` (with `if_nonzero` only
    a result other than 0 does). No place, which is -1, means the next call. `about` says what
    could not be done, for whoever asked.
    """

    name: str
    arguments: tuple[Argument, ...]
    about: str = ""
    tolerated: int = 0
    on_tolerated: int = -1
    on_success: int = -1
    if_nonzero: bool = False
    lenient: bool = False


class Place(Struct):
    """A place in a program, which may be known only later."""

    number: int


class Program:
    """Calls in the order in which they were added."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.places: list[int] = []  # of each Place, the call that comes there
        self.on_failure: Place | None = None  # where a call that fails goes on, once

    def add(
        self,
        name: str,
        *arguments: Argument,
        about: str = "",
        tolerated: int = 0,
        on_tolerated: Place | None = None,
        on_success: Place | None = None,
        if_nonzero: bool = False,
        lenient: bool = False,
    ) -> Result:
        """Add a call; return what stands for its result in later ones."""
        self.calls.append(
            Call(
                name,
                arguments,
                about,
                tolerated,
                -1 if on_tolerated is None else on_tolerated.number,
                -1 if on_success is None else on_success.number,
                if_nonzero,
                lenient,
            )
        )
        return Result(len(self.calls) - 1)

    def place(self) -> Place:
        """Return a place to be put somewhere."""
        self.places.append(-1)
        return Place(len(self.places) - 1)

    def put(self, place: Place) -> None:
        """Say that the next call is at `place`."""
        self.places[place.number] = len(self.calls)

    def jump(self, place: Place) -> None:
        """Go on at `place`."""
        self.add(VALUE, 0, on_success=place)

    def where(self, number: int, otherwise: int) -> int:
        """Return the index of the call at a place of a Call."""
        return self.places[number] if number >= 0 else otherwise

    def describe(self) -> Sequence[str]:
        """Return a line for each call, for people and tests."""
        return [f"{call.name}{call.arguments}" for call in self.calls]
