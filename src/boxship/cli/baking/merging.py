"""How what two compose files say of the same becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from boxship.cli.baking.documents import NOTHING, Instead
from boxship.errors import InvalidRequest

PAIRS: Final = ("args", "labels", "additional_contexts")
EXTENSION: Final = "x-"
Path = tuple[str, ...]


def laid_over(below: Any, above: Any, path: Path = ()) -> Any:
    """Merge two documents: mappings by key, lists one after another, anything else is replaced."""
    if isinstance(above, Instead):
        return above.value
    if _is_build(path):
        below, above = as_build(below), as_build(above)
    elif _are_pairs(path) and above is not None and below is not None:
        below, above = pairs(below), pairs(above)
    if isinstance(below, dict) and isinstance(above, dict):
        found = dict(below)
        for key, value in above.items():
            if value is NOTHING:
                found.pop(key, None)
            elif found.get(key) is not None and value is not None:
                found[key] = laid_over(found[key], value, (*path, key))
            else:
                found[key] = bare(value)
        return found
    if isinstance(below, list) and isinstance(above, list) and not _in_extension(path):
        return [*below, *(one for one in above if one not in below)]
    return bare(above)


def bare(said: Any) -> Any:
    """Return a document of which nothing is below, without its marks."""
    if isinstance(said, Instead):
        return bare(said.value)
    if isinstance(said, dict):
        return {key: bare(value) for key, value in said.items() if value is not NOTHING}
    if isinstance(said, list):
        return [bare(one) for one in said if one is not NOTHING]
    return None if said is NOTHING else said


def _is_build(path: Path) -> bool:
    return len(path) == 3 and path[0] == "services" and path[2] == "build"


def _are_pairs(path: Path) -> bool:
    if len(path) == 4:
        return path[0] == "services" and path[2] == "build" and path[3] in PAIRS
    return len(path) == 3 and path[0] == "services" and path[2] == "environment"


def _in_extension(path: Path) -> bool:
    return any(key.startswith(EXTENSION) for key in path)


def as_build(said: Any) -> Any:
    """Return `build` as a mapping, also where it is only a folder."""
    return {"context": said} if isinstance(said, str) else said


def pairs(said: Any) -> dict[str, Any]:
    """Return a mapping, also where it is written as a list of `key=value`."""
    if isinstance(said, Mapping):
        return {str(key): value for key, value in said.items()}
    if not isinstance(said, list):
        raise InvalidRequest(f"a mapping or a list is needed, not {said!r}")
    found: dict[str, Any] = {}
    for one in said:
        key, equals, value = str(one).partition("=")
        found[key] = value if equals else None
    return found
