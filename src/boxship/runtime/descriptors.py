"""Which descriptors a new process keeps, and under which numbers."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from boxship.kernel.syscalls import AT_FDCWD
from boxship.runtime.api import Stdio
from boxship.runtime.program import Program, Result

FIRST: Final = 3
LAST: Final = 0xFFFFFFFF
CLOSE_RANGE_CLOEXEC: Final = 4


def close_others(program: Program, kept: Iterable[int]) -> None:
    """Close, now, every descriptor but these and the first three."""
    low = FIRST
    for number in sorted(set(kept)):
        if number > low:
            program.add("close_range", low, number - 1, 0, about="close_range")
        low = max(low, number + 1)
    program.add("close_range", low, LAST, 0, about="close_range")


def place_streams(program: Program, stdio: Stdio) -> None:
    """Put the program's streams on 0, 1 and 2; none is numbered so low before.

    One that is not given is the host's /dev/null for now.
    """
    null: Result | None = None
    for number, stream in enumerate((stdio.stdin, stdio.stdout, stdio.stderr)):
        if stream is not None:
            program.add("dup3", stream, number, 0, about="dup3")
            continue
        if null is None:
            null = program.add(
                "openat", AT_FDCWD, b"/dev/null", os.O_RDWR | os.O_CLOEXEC, 0,
                about="error opening /dev/null",
            )  # fmt: skip
        program.add("dup3", null, number, 0, about="dup3")


def place_null(program: Program, stdio: Stdio, null: Result) -> None:
    """Put the container's own /dev/null on the streams that are not given."""
    for number, stream in enumerate((stdio.stdin, stdio.stdout, stdio.stderr)):
        if stream is None:
            skip = program.place()
            program.add("dup3", null, number, 0, tolerated=1 << 9, on_tolerated=skip)
            program.put(skip)


def close_on_exec(program: Program, first: int = FIRST) -> None:
    """Let the program have no descriptor of ours from `first` on."""
    program.add("close_range", first, LAST, CLOSE_RANGE_CLOEXEC, about="close_range")
