"""What can go wrong between a bundle and a running program."""

from __future__ import annotations

import errno

from boxship.errors import BoxshipError, Conflict, InvalidRequest, NotFound

# What a shell would answer, and what the engine reports, when a program could not be started.
NOT_EXECUTABLE = 126
NOT_FOUND = 127
OTHER = 128
_CODES = {
    errno.ENOENT: NOT_FOUND,
    errno.EACCES: NOT_EXECUTABLE,
    errno.EISDIR: NOT_EXECUTABLE,
}


def exit_code_of(number: int) -> int:
    """Return the exit code that stands for a start that failed with this errno."""
    return _CODES.get(number, OTHER)


class StartFailed(BoxshipError):
    """The program never ran; `exit_code` is what the container's record shows for it.

    A `hint` is for people, and comes last however the message is wrapped.
    """

    def __init__(self, message: str, exit_code: int = OTHER, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
        self.hint = hint


class BadBundle(InvalidRequest):
    """The bundle's `config.json` asks for something that makes no sense."""


class NoSuchContainer(NotFound):
    """The runtime keeps no container of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"container {name!r} does not exist")


class WrongState(Conflict):
    """The container is not in a state in which this can be done."""
