"""The attributes that `build` of a service may have, and what each may be."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from boxship.errors import InvalidRequest, NotSupported


class Shape(Enum):
    """What an attribute may be, in the words of a refusal."""

    TEXT = "a string"
    LIST = "a list"
    MAP = "a mapping"
    PAIRS = "a mapping or a list"
    FLAG = "a boolean"
    SIZE = "a string or a number"


BUILD: Final[Mapping[str, Shape]] = {
    "additional_contexts": Shape.PAIRS,
    "args": Shape.PAIRS,
    "cache_from": Shape.LIST,
    "cache_to": Shape.LIST,
    "context": Shape.TEXT,
    "dockerfile": Shape.TEXT,
    "dockerfile_inline": Shape.TEXT,
    "entitlements": Shape.LIST,
    "extra_hosts": Shape.PAIRS,
    "isolation": Shape.TEXT,
    "labels": Shape.PAIRS,
    "network": Shape.TEXT,
    "no_cache": Shape.FLAG,
    "platforms": Shape.LIST,
    "privileged": Shape.FLAG,
    "provenance": Shape.FLAG,
    "pull": Shape.FLAG,
    "sbom": Shape.FLAG,
    "secrets": Shape.LIST,
    "shm_size": Shape.SIZE,
    "ssh": Shape.PAIRS,
    "tags": Shape.LIST,
    "target": Shape.TEXT,
    "ulimits": Shape.MAP,
}
EXTENSION: Final = "x-"
ALLOWED: Final[Mapping[Shape, tuple[type, ...]]] = {
    Shape.TEXT: (str,),
    Shape.LIST: (list,),
    Shape.MAP: (dict,),
    Shape.PAIRS: (dict, list),
    Shape.FLAG: (bool, str),
    Shape.SIZE: (str, int, float),
}
YES: Final = frozenset({"true", "1", "yes", "y", "on"})
NO: Final = frozenset({"false", "0", "no", "n", "off", ""})
HERE: Final = ("", "default")  # what `isolation` may be where there are no others


def check_build(service: str, build: Any) -> None:
    """Refuse what `build` cannot be."""
    where = f"services.{service}.build"
    if not isinstance(build, dict):
        raise InvalidRequest(f"{where} must be a string or a mapping")
    for key, value in build.items():
        if key.startswith(EXTENSION):
            continue
        if key not in BUILD:
            raise InvalidRequest(f"{where} Additional property {key} is not allowed")
        if not isinstance(value, ALLOWED[BUILD[key]]):
            raise InvalidRequest(f"{where}.{key} must be {BUILD[key].value}")
    if (isolation := build.get("isolation", "")) not in HERE:
        raise NotSupported(f"{where}.isolation: {isolation} is only there on Windows")


def flag(said: Any, where: str) -> bool:
    """Return a flag, which variables may have made a text."""
    text = str(said).strip().lower()
    if text not in YES and text not in NO:
        raise InvalidRequest(f"{where}: {said!r} is no boolean")
    return text in YES
