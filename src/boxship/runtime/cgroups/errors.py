"""What control groups refuse."""

from __future__ import annotations

from boxship.errors import Conflict, InvalidRequest, NotSupported


class BadCgroupPath(InvalidRequest):
    """A path that leaves the tree, or that no control group can have."""

    def __init__(self, path: str) -> None:
        super().__init__(f"invalid cgroup path: {path!r}")


class LimitRefused(InvalidRequest):
    """The kernel does not accept this value."""


class BadDeviceRule(InvalidRequest):
    """A device rule that cannot be read, or that this kernel's tree cannot express."""


class CgroupBusy(Conflict):
    """The control group is there already and has processes, or will not empty."""


class ControllerMissing(NotSupported):
    """This host has no such controller, or has not handed it down to us."""

    def __init__(self, file: str) -> None:
        controller = file.partition(".")[0]
        super().__init__(f"cannot set {file}: the {controller} cgroup controller is not available")


class CgroupUnavailable(NotSupported):
    """The control group cannot be made or used here."""
