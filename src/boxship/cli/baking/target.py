"""Targets and groups: their members, how two descriptions of one are laid over each other, and
what `--print` shows of them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from boxship.cli.building.fields import LINK, REMOTE, fields, joined
from boxship.errors import InvalidRequest
from boxship.lib.hcl import BadValue, values

Target = dict[str, Any]  # by member's name; the values are of the member's kind
NAME: Final = re.compile(r"[a-zA-Z0-9_-]+")
HERE: Final = "cwd://"
ELSEWHERE: Final = (LINK, "docker-image:", "oci-layout:", "input:")
DEFAULT: Final = "default"


class Kind(Enum):
    """What a member's value is."""

    TEXT = auto()
    FLAG = auto()
    TEXTS = auto()
    ENTRIES = auto()  # texts of fields, or objects
    MAP = auto()  # of texts; what is null does not count


class Merge(Enum):
    """What comes of two values of a member."""

    REPLACE = auto()
    APPEND = auto()
    BY_KEY = auto()
    BY_TYPE = auto()


# In the order in which they are printed.
MEMBERS: Final[Mapping[str, tuple[Kind, Merge]]] = {
    "description": (Kind.TEXT, Merge.REPLACE),
    "inherits": (Kind.TEXTS, Merge.APPEND),
    "annotations": (Kind.TEXTS, Merge.APPEND),
    "attest": (Kind.ENTRIES, Merge.BY_TYPE),
    "context": (Kind.TEXT, Merge.REPLACE),
    "contexts": (Kind.MAP, Merge.BY_KEY),
    "dockerfile": (Kind.TEXT, Merge.REPLACE),
    "dockerfile-inline": (Kind.TEXT, Merge.REPLACE),
    "args": (Kind.MAP, Merge.BY_KEY),
    "labels": (Kind.MAP, Merge.BY_KEY),
    "tags": (Kind.TEXTS, Merge.REPLACE),
    "cache-from": (Kind.ENTRIES, Merge.APPEND),
    "cache-to": (Kind.ENTRIES, Merge.REPLACE),
    "target": (Kind.TEXT, Merge.REPLACE),
    "secret": (Kind.ENTRIES, Merge.APPEND),
    "ssh": (Kind.ENTRIES, Merge.APPEND),
    "platforms": (Kind.TEXTS, Merge.REPLACE),
    "output": (Kind.ENTRIES, Merge.REPLACE),
    "pull": (Kind.FLAG, Merge.REPLACE),
    "no-cache": (Kind.FLAG, Merge.REPLACE),
    "network": (Kind.TEXT, Merge.REPLACE),
    "no-cache-filter": (Kind.TEXTS, Merge.APPEND),
    "shm-size": (Kind.TEXT, Merge.REPLACE),
    "ulimits": (Kind.TEXTS, Merge.APPEND),
    "call": (Kind.TEXT, Merge.REPLACE),
    "entitlements": (Kind.TEXTS, Merge.APPEND),
    "extra-hosts": (Kind.MAP, Merge.BY_KEY),
    "resources": (Kind.TEXTS, Merge.APPEND),
}
ESCAPED: Final = ("annotations", "dockerfile-inline", "args", "labels", "extra-hosts")


@dataclass(slots=True)
class Group:
    """Names that stand for several."""

    name: str
    targets: list[str]
    description: str = ""


@dataclass(slots=True)
class Definition:
    """What the files say, each name once."""

    groups: dict[str, Group] = field(default_factory=dict)
    targets: dict[str, Target] = field(default_factory=dict)
    variables: list[Setting] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def add_target(self, name: str, said: Target) -> None:
        """Take a target, over what has been said of it."""
        self.targets[name] = merged(self.targets.get(name, {}), said)

    def add_group(self, group: Group) -> None:
        self.groups[group.name] = group


@dataclass(frozen=True, slots=True)
class Setting:
    """A variable, for a list of them."""

    name: str
    kind: str
    value: Any
    description: str


def check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise BadValue('only "[a-zA-Z0-9_-]+" are allowed')


def converted(member: str, value: Any) -> Any:
    """Return a value as the member has it; BadValue where it cannot be."""
    kind, _ = MEMBERS[member]
    if value is None:
        return None
    match kind:
        case Kind.TEXT:
            return values.text(value)
        case Kind.FLAG:
            return values.truth(value)
        case Kind.TEXTS:
            return [values.text(one) for one in values.sequence(value)]
        case Kind.ENTRIES:
            return [_entry(member, one) for one in values.sequence(value)]
        case Kind.MAP:
            found = values.mapping(value)
            return {key: None if found[key] is None else values.text(found[key]) for key in found}


def _entry(member: str, value: Any) -> str:
    """Return one of a list of options as text."""
    if not isinstance(value, Mapping):
        return values.text(value)
    said = {key: value[key] for key in sorted(value) if value[key] is not None}
    if member == "ssh":
        paths = ",".join(values.text(one) for one in said.get("paths", ()))
        return values.text(said.get("id", DEFAULT)) + (f"={paths}" if paths else "")
    first = "id" if member == "secret" else "type"
    named = {first: said.pop(first)} if first in said else {}
    return joined({key: values.text(one) for key, one in {**named, **said}.items()})


def merged(below: Target, above: Target) -> Target:
    """Return two descriptions laid over each other."""
    found = dict(below)
    for member, value in above.items():
        if value is None:
            continue
        match MEMBERS[member][1]:
            case Merge.REPLACE:
                found[member] = value
            case Merge.APPEND:
                found[member] = [*found.get(member, ()), *value]
            case Merge.BY_TYPE:
                found[member] = by_type([*found.get(member, ()), *value])
            case Merge.BY_KEY:
                kept = {key: one for key, one in value.items() if one is not None}
                found[member] = {**found.get(member, {}), **kept}
    return found


def by_type(entries: Iterable[str]) -> list[str]:
    """Return attestations, of each type the last one."""
    found: dict[str, str] = {}
    for entry in entries:
        found[fields(entry).get("type", entry)] = entry
    return list(found.values())


def tidied(target: Target) -> Target:
    """Return a target without doubles and empty members."""
    found: Target = {}
    for member, value in target.items():
        kind, merge = MEMBERS[member]
        if kind in (Kind.TEXTS, Kind.ENTRIES) and merge is not Merge.BY_TYPE:
            value = [one for one in dict.fromkeys(value) if one]
        if member == "contexts":
            value = {key: one for key, one in value.items() if one}
        found[member] = value
    return found


def shown(target: Target) -> Target:
    """Return a target as `--print` has it, so that it reads back the same."""
    found: Target = {}
    for member in MEMBERS:
        value = target.get(member)
        if value is None or (value in ([], {}) and value is not False):
            continue
        if member == "description" and not value:
            continue
        found[member] = _escaped(value) if member in ESCAPED else value
        if isinstance(found[member], dict):
            found[member] = dict(sorted(found[member].items()))
    return found


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    return {key: _escaped(one) for key, one in value.items()}


def is_remote(place: str) -> bool:
    return place.startswith(REMOTE)


def is_repository(url: str) -> bool:
    """Tell whether an address is a repository's, by the rules for contexts."""
    place = url.partition("#")[0]
    return place.endswith(".git") or not place.startswith(("http://", "https://"))


def place(target: Target, url: str, folder: str = "") -> None:
    """Have a target's folders be where they are: here, beside a definition in a repository, or
    in the folder where the archive with the definition was unpacked."""
    there = url if url and is_repository(url) else ""
    target["context"] = _placed(target["context"], there, folder)
    if contexts := target.get("contexts"):
        target["contexts"] = {
            name: _placed(one, there, folder) if there or folder else one
            for name, one in contexts.items()
        }


def _placed(said: str, url: str, folder: str) -> str:
    if said.startswith(HERE) or not (url or folder or is_remote(said)):
        return posixpath.normpath(said.removeprefix(HERE) or ".")
    if is_remote(said) or said.startswith(ELSEWHERE):
        return said
    path = posixpath.normpath(said)
    if path.startswith(("../", "/")) or path == "..":
        raise InvalidRequest(f"{said!r} is outside of {url or 'the archive'}")
    if folder:
        return posixpath.join(folder, path)
    if path == ".":
        return url
    address, _, fragment = url.partition("#")
    ref, _, below = fragment.partition(":")
    return f"{address}#{ref}:{posixpath.join(below, path) if below else path}"


def wrong_flag(value: str, member: str) -> InvalidRequest:
    return InvalidRequest(f"invalid value {value} for boolean key {member}")
