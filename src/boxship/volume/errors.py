"""The package's own failures."""

from __future__ import annotations

from boxship.errors import BoxshipError, Conflict, InvalidRequest, NotFound


class NoSuchVolume(NotFound):
    """No volume has this name."""

    def __init__(self, name: str, verb: str = "get") -> None:
        super().__init__(f"{verb} {name}: no such volume")
        self.name = name


class VolumeInUse(Conflict):
    """Containers still refer to the volume."""


class VolumeExists(Conflict):
    """Another driver has a volume of this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"create {name}: conflict: volume name must be unique")


class InvalidVolume(InvalidRequest):
    """A name or an option that cannot be."""


class NoSuchVolumeDriver(NotFound):
    """No volume driver has this name."""

    def __init__(self, name: str, driver: str) -> None:
        super().__init__(
            f'create {name}: error looking up volume plugin {driver}: plugin "{driver}" not found'
        )


class MountFailed(BoxshipError):
    """A volume's filesystem cannot be mounted."""


class PruneRunning(Conflict):
    """Somebody prunes already."""

    def __init__(self) -> None:
        super().__init__("a prune operation is already running")
