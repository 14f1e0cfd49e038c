"""What a request to a shim can come to."""

from __future__ import annotations

from boxship.errors import Conflict, NotFound, Unavailable


class ShimLost(Unavailable):
    """The container's keeper does not answer any more."""

    def __init__(self, folder: str) -> None:
        super().__init__(f"the keeper of the container at {folder} is gone")
        self.folder = folder


class SpawnFailed(Unavailable):
    """No keeper could be started for a container."""


class NoSuchProcess(NotFound):
    """The container, or the exec, does not run."""


class WrongMoment(Conflict):
    """The container is not in a state in which this can be done."""
