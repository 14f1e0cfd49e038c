"""Images: what older clients expect, and what they do not know."""

from __future__ import annotations

from typing import Final

from boxship.api.versions import Object, below
from boxship.spec.engine.image import ImageInspect, ImageSummary

NO_NAME: Final = "<none>:<none>"
NO_DIGEST: Final = "<none>@<none>"
PLAIN: Final[Object] = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}


@below("1.53", ImageInspect)
def without_identity(image: Object) -> None:
    """Where it came from was not told."""
    image.pop("Identity", None)


@below("1.52", ImageInspect)
def with_legacy_origin(image: Object) -> None:
    """Say which engine made it and from which image, which is not known any more."""
    image.setdefault("Parent", "")
    image.setdefault("DockerVersion", "")


@below("1.50", ImageInspect)
def with_whole_config(image: Object) -> None:
    """Show every member of a container's configuration."""
    image["Config"] = {**PLAIN, **image.get("Config", {})}


@below("1.48", ImageInspect, ImageSummary)
def without_descriptor(image: Object) -> None:
    """What the name points to was not shown."""
    image.pop("Descriptor", None)


@below("1.47", ImageSummary)
def without_manifests(image: Object) -> None:
    """Neither were its manifests."""
    image.pop("Manifests", None)


@below("1.45", ImageInspect)
def with_container(image: Object) -> None:
    """Show the container that a classic build would have left."""
    image.setdefault("Container", "")
    image.setdefault("ContainerConfig", {**PLAIN, "Cmd": None})


@below("1.44", ImageInspect, ImageSummary)
def with_virtual_size(image: Object) -> None:
    """Repeat the size."""
    image["VirtualSize"] = image.get("Size", 0)


@below("1.43", ImageSummary)
def with_names_for_nothing(image: Object) -> None:
    """An image without a name had one that says so."""
    image["RepoTags"] = image.get("RepoTags") or [NO_NAME]
    image["RepoDigests"] = image.get("RepoDigests") or [NO_DIGEST]
