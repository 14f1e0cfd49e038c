"""What can go wrong with images; the messages are those that clients match on."""

from __future__ import annotations

from boxship.errors import Conflict, InvalidRequest, NotFound, NotSupported
from boxship.spec.platform import Platform


class NoSuchImage(NotFound):
    """No image has this name, ID, ID prefix or digest."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"No such image: {ref}")
        self.ref = ref


class WrongPlatform(NotFound):
    """The image is there, but not for this platform."""

    def __init__(self, ref: str, has: Platform, wanted: Platform) -> None:
        super().__init__(
            f"image with reference {ref} was found but its platform ({has}) "
            f"does not match the specified platform ({wanted})"
        )


class NoSuchPlatform(NotFound):
    """The index lists nothing for this platform."""

    def __init__(self, wanted: Platform) -> None:
        super().__init__(f"no matching manifest for {wanted} in the manifest list entries")


class NothingToPush(NotFound):
    """What is to be pushed is not here, or not all of it."""

    def __init__(self, name: str, missing: str = "") -> None:
        super().__init__(
            f"{name} cannot be pushed whole: content digest {missing}: not found; "
            "pull it for all platforms, or push one platform"
            if missing
            else f"tag does not exist: {name}"
        )


class ReservedName(InvalidRequest):
    """The name means something else than an image in a registry."""

    def __init__(self, name: str) -> None:
        super().__init__(f"'{name}' is a reserved name")


class AmbiguousId(InvalidRequest):
    """Several images' IDs begin like this."""

    def __init__(self, prefix: str) -> None:
        super().__init__(f"multiple IDs found with provided prefix: {prefix}")


class ImageInUse(Conflict):
    """Something keeps the image from being removed."""

    @classmethod
    def deleting(cls, short: str, why: str, *, hard: bool) -> ImageInUse:
        """The image itself cannot go, or only when forced."""
        how = "cannot be forced" if hard else "must be forced"
        return cls(f"conflict: unable to delete {short} ({how}) - {why}")

    @classmethod
    def untagging(cls, name: str, container: str, short: str) -> ImageInUse:
        """The last name of an image that a container uses."""
        return cls(
            f'conflict: unable to remove repository reference "{name}" (must force) - '
            f"container {container} is using its referenced image {short}"
        )


class InvalidImageArchive(InvalidRequest):
    """What was to be loaded is no image archive."""


class InvalidChange(InvalidRequest):
    """A `--change` cannot be applied."""


class PruneRunning(Conflict):
    """Only one prune at a time."""

    def __init__(self) -> None:
        super().__init__("a prune operation is already running")


class CannotBootstrap(NotSupported):
    """A base image cannot be made on this host."""
