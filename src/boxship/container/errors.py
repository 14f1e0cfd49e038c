"""What can go wrong with a container, in the words that clients match on."""

from __future__ import annotations

from boxship.errors import BoxshipError, Conflict, InvalidRequest, NotFound, NotModified


class NoSuchContainer(NotFound):
    """No container has this ID, ID prefix or name."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"No such container: {ref}")
        self.ref = ref


class NoSuchExec(NotFound):
    """No exec has this ID, or its container is gone."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"No such exec instance: {ref}")
        self.ref = ref


class NoSuchFile(NotFound):
    """A path leads to nothing in a container."""

    def __init__(self, path: str, container: str) -> None:
        super().__init__(f"Could not find the file {path} in container {container}")


class AmbiguousPrefix(InvalidRequest):
    """More than one container's ID starts like this."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"multiple IDs found with provided prefix: {prefix}")


class NameTaken(Conflict):
    """Another container has this name."""

    def __init__(self, name: str, owner: str) -> None:
        super().__init__(
            f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )


class InvalidName(InvalidRequest):
    """The name has characters that a container's name cannot have."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )


class NotRunning(Conflict):
    """The verb needs a process, and there is none."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"container {ref} is not running")


class AlreadyStarted(NotModified):
    """Start of a container that runs."""


class AlreadyStopped(NotModified):
    """Stop of a container that does not run."""


class Busy(Conflict):
    """Another change to the same container did not end in time."""

    def __init__(self, ref: str, verb: str, seconds: float) -> None:
        super().__init__(
            f"container {ref} is busy: another request has been trying to {verb} it "
            f"for {seconds:.0f} s"
        )


class StillRunning(Conflict):
    """Remove, without force, of a container with a process."""

    def __init__(self, name: str, *, paused: bool) -> None:
        what = (
            "container is paused and must be unpaused first"
            if paused
            else "container is running: stop the container before removing or force remove"
        )
        super().__init__(f'cannot remove container "/{name}": {what}')


class StartRefused(BoxshipError):
    """The program could not be started; the exit code is recorded as the container's own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class CannotStart(StartRefused, InvalidRequest):
    """The program is not there, or cannot be executed: the request can never succeed."""


class Undeliverable(BoxshipError):
    """A process that is alive did not take what was sent to it in time."""
