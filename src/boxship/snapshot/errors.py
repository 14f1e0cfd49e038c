"""What can go wrong with filesystems."""

from __future__ import annotations

import os

from boxship.errors import Conflict, InvalidRequest, NotFound, NotSupported


class NoSuchSnapshot(NotFound):
    """No snapshot has this key, or no layer this chain ID."""


class SnapshotExists(Conflict):
    """The key is taken."""


class TooDeep(InvalidRequest):
    """More layers than can be put on each other."""

    def __init__(self) -> None:
        super().__init__("max depth exceeded")


class TooManyChanges(NotSupported):
    """What was changed is more than can be listed at once: a folder in a folder, for example, with
    ever longer paths.
    """

    def __init__(self) -> None:
        super().__init__("there are too many changes to list")


class DriverUnavailable(NotSupported):
    """This host cannot do what the driver needs."""


class WrongLayer(InvalidRequest):
    """A layer's content is not what the image's configuration says."""


class CannotUnpack(InvalidRequest):
    """An entry of a layer cannot be made."""

    def __init__(self, name: bytes, why: str) -> None:
        super().__init__(f"cannot unpack {os.fsdecode(name[:200])!r}: {why}")


class Breakout(CannotUnpack):
    """An entry's name leads out of the tree."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name, "the name leads outside of the tree")
