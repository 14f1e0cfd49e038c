"""Names of images as a user types them."""

from __future__ import annotations

from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxship.client.documents import ImageRemoved

HUB = "docker.io"


def split_tag(name: str) -> tuple[str, str]:
    """Return the repository and the tag or digest, empty where there is none."""
    if not name:
        raise InvalidRequest("invalid reference format")
    repository, at, digest = name.partition("@")
    if at:
        last = repository.rpartition("/")[2]
        if ":" in last:
            repository = repository.rpartition(":")[0]
        return repository, digest
    last = name.rpartition("/")[2]
    if ":" in last:
        repository, _, tag = name.rpartition(":")
        return repository, tag
    return name, ""


def tagged(name: str) -> str:
    """Return a name with the tag that it means."""
    last = name.rpartition("/")[2]
    return name if ":" in last or "@" in name else f"{name}:latest"


def canonical(name: str) -> str:
    """Return a name with the registry and the folder that it means."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"{HUB}/{name}" if slash else f"{HUB}/library/{name}"


def registry_of(name: str) -> str:
    return canonical(name).partition("/")[0]


def platform_json(text: str, prefix: str = "") -> str:
    """Return `os[/arch[/variant]]` as the document that calls take; empty stays empty."""
    if not text:
        return ""
    import posix

    from boxship.cli.image.platforms import parse
    from boxship.lib import quickjson

    found = parse(text, posix.uname().machine, prefix)
    keys = {"architecture": found.architecture, "os": found.os, "variant": found.variant}
    return quickjson.encode({key: value for key, value in keys.items() if value})


def platforms_json(given: Iterable[str], prefix: str = "") -> tuple[str, ...]:
    """Return platforms, each given by itself or several with commas between."""
    return tuple(platform_json(one, prefix) for text in given for one in text.split(",") if one)


def removed_line(step: ImageRemoved) -> str:
    if "Deleted" in step:
        return f"deleted: {step['Deleted']}"
    return f"untagged: {step['Untagged']}"
