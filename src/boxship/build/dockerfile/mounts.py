"""`RUN --mount=type=…,key=value,…`: a comma-separated list, quoted as in CSV."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from boxship.build.dockerfile.errors import DockerfileError, suggest
from boxship.build.dockerfile.shell import quoted
from boxship.build.ops import Sharing
from boxship.lib import units

VARIABLE: Final = re.compile(r"\$.", re.DOTALL)
KINDS: Final = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARINGS: Final = ("shared", "private", "locked")
TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})
OWNED: Final = frozenset({"secret", "ssh", "cache"})
KEYS: Final = (
    "type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode",
    "uid", "gid", "env", "src", "dst", "destination", "ro", "rw", "readwrite",
)  # fmt: skip

Expand = Callable[[str], str]


@dataclass(slots=True)
class Mount:
    """A mount as asked for; None where the key was not given."""

    kind: str = "bind"
    origin: str = ""
    source: str = ""
    target: str = ""
    readonly: bool | None = None
    required: bool = False
    id: str = ""
    env: str | None = None
    sharing: Sharing | None = None
    size: int = 0
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None


def check(text: str) -> None:
    """Refuse what is wrong before any variable is known."""
    for field in _fields(text):
        key, equals, value = field.partition("=")
        if equals and key.lower() == "from":
            _no_variable(value)


def origin(text: str) -> str:
    """Return what a mount is from, which no variable can change; empty for the context."""
    found = ""
    for field in _fields(text):
        key, equals, value = field.partition("=")
        if equals and key.lower() == "from":
            found = value
    return found


def parse(text: str, expand: Expand) -> Mount:
    """Read one mount, its values expanded."""
    mount = Mount()
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = key.lower()
        if not equals:
            _bare(mount, key, field)
        elif key == "from":
            _no_variable(value)
            mount.origin = value
        else:
            _set(mount, key, expand(value), field)
    _validate(mount)
    return mount


def _fields(text: str) -> list[str]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise DockerfileError(f"failed to parse csv mounts: {error}") from None
    if not rows or not rows[0]:
        raise DockerfileError("failed to parse csv mounts: EOF")
    return rows[0]


def _no_variable(value: str) -> None:
    if VARIABLE.search(value):
        raise DockerfileError(
            "'from' doesn't support variable expansion, define alias stage instead"
        )


def _bare(mount: Mount, key: str, field: str) -> None:
    match key:
        case "readonly" | "ro":
            mount.readonly = True
        case "readwrite" | "rw":
            mount.readonly = False
        case "required" if mount.kind in ("secret", "ssh"):
            mount.required = True
        case "required":
            raise DockerfileError(f"unexpected key '{key}' for mount type '{mount.kind}'")
        case _:
            raise DockerfileError(f"invalid field '{field}' must be a key=value pair")


def _set(mount: Mount, key: str, value: str, field: str) -> None:
    match key:
        case "type":
            if value.lower() not in KINDS:
                message = f"unsupported mount type {quoted(value)}"
                raise DockerfileError(suggest(message, value, KINDS))
            mount.kind = value.lower()
        case "source" | "src":
            mount.source = value
        case "target" | "dst" | "destination":
            mount.target = value
        case "readonly" | "ro":
            mount.readonly = _truth(key, value)
        case "readwrite" | "rw":
            mount.readonly = not _truth(key, value)
        case "required" if mount.kind in ("secret", "ssh"):
            mount.required = _truth(key, value)
        case "size" if mount.kind == "tmpfs":
            try:
                mount.size = units.parse_ram(value)
            except ValueError:
                raise DockerfileError(f"invalid value for {key}: {value}") from None
        case "required" | "size":
            raise DockerfileError(f"unexpected key '{key}' for mount type '{mount.kind}'")
        case "id":
            mount.id = value
        case "sharing":
            if value.lower() not in SHARINGS:
                message = f"unsupported sharing value {quoted(value)}"
                raise DockerfileError(suggest(message, value, SHARINGS))
            mount.sharing = Sharing(value.lower())
        case "mode":
            mount.mode = _number(key, value, 8)
        case "uid":
            mount.uid = _number(key, value, 10)
        case "gid":
            mount.gid = _number(key, value, 10)
        case "env":
            mount.env = value
        case _:
            message = f"unexpected key '{key}' in '{field}'"
            raise DockerfileError(suggest(message, key, KEYS))


def _truth(key: str, value: str) -> bool:
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise DockerfileError(f"invalid value for {key}: {value}")


def _number(key: str, value: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not value or len(value) > 32 or set(value) - set(digits):
        raise DockerfileError(f"invalid value {value} for {key}")
    number = int(value, base)
    if number >= 1 << 32:
        raise DockerfileError(f"invalid value {value} for {key}")
    return number


def _validate(mount: Mount) -> None:
    if mount.kind not in OWNED:
        for key in ("mode", "uid", "gid"):
            if getattr(mount, key) is not None:
                raise DockerfileError(f'{key} not allowed for "{mount.kind}" type mounts')
    if mount.readonly is None:
        mount.readonly = mount.kind not in ("cache", "tmpfs")
    if mount.kind == "secret":
        if mount.origin:
            raise DockerfileError("secret mount should not have a from")
        if mount.sharing is not None:
            raise DockerfileError("secret mount should not define sharing")
        if not (mount.source or mount.target or mount.id):
            raise DockerfileError("invalid secret mount. one of source, target required")
        if mount.source and mount.id:
            raise DockerfileError("both source and id can't be set")
    elif mount.env is not None:
        raise DockerfileError(f"env not allowed for {mount.kind} mount")
    if mount.sharing is not None and mount.kind != "cache":
        raise DockerfileError(f"invalid cache sharing set for {mount.kind} mount")
