"""Values of options: from a flag's text, from the file's JSON, and what they must look like."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from boxship.daemon.options import Kind, Option
from boxship.lib import units


class BadValue(ValueError):
    """A value is not of its option's kind."""


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A limit of a process's resources."""

    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class RuntimePath:
    """Where a foreign OCI runtime is, and what it is told besides."""

    path: str
    args: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolRange:
    """A range that networks are cut from, each `size` bits of prefix."""

    base: str
    size: int


TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def from_flag(option: Option, text: str, before: Any) -> Any:
    """Read one use of a flag; `before` is what its earlier uses made, or None."""
    match option.kind:
        case Kind.FLAG:
            if text not in TRUE | FALSE:
                raise BadValue(f'strconv.ParseBool: parsing "{text}": invalid syntax')
            return text in TRUE
        case Kind.NUMBER:
            return _number(text)
        case Kind.SIZE:
            return _size(text)
        case Kind.LIST:
            return (*(before or ()), text)
        case Kind.MAP:
            key, equals, value = text.partition("=")
            return {**(before or {}), key: value if equals else _bare(option, key)}
        case Kind.NESTED:
            outer, _, rest = text.partition("=")
            key, equals, value = rest.partition("=")
            if not equals:
                raise BadValue(f"invalid value {text!r}: must be driver=key=value")
            kept = dict(before or {})
            kept[outer] = {**kept.get(outer, {}), key: value}
            return kept
        case Kind.ULIMITS:
            name, limit = _ulimit(text)
            return {**(before or {}), name: limit}
        case Kind.POOLS:
            return (*(before or ()), _pool(text))
        case Kind.RUNTIMES:
            name, equals, path = text.partition("=")
            if not (name and equals and path):
                raise BadValue(f"invalid runtime {text!r}: must be name=path")
            return {**(before or {}), name: RuntimePath(path)}
        case _:
            return text


def _bare(option: Option, key: str) -> str:
    if option.key == "features":
        return "true"
    raise BadValue(f"invalid {option.flag} {key!r}: must be key=value")


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadValue(f'strconv.ParseInt: parsing "{text}": invalid syntax') from None


def _size(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return units.parse_ram(str(value))
    except ValueError as error:
        raise BadValue(str(error)) from None


def _ulimit(text: str) -> tuple[str, Ulimit]:
    name, equals, value = text.partition("=")
    soft, _, hard = value.partition(":")
    try:
        limit = Ulimit(int(soft), int(hard or soft))
    except ValueError:
        raise BadValue(f"invalid ulimit argument: {text}") from None
    if not equals:
        raise BadValue(f"invalid ulimit argument: {text}")
    if limit.hard != -1 and (limit.soft > limit.hard or limit.soft == -1):
        raise BadValue(
            f"ulimit soft limit must be less than or equal to hard limit: "
            f"{limit.soft} > {limit.hard}"
        )
    return name, limit


def _pool(text: str) -> PoolRange:
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if set(parts) != {"base", "size"}:
        raise BadValue(f"invalid pool {text!r}: must be base=CIDR,size=BITS")
    return _checked_pool(parts["base"], _number(parts["size"]))


def _checked_pool(base: str, size: int) -> PoolRange:
    try:
        network = ipaddress.ip_network(base, strict=False)
    except ValueError:
        raise BadValue(f"invalid base pool {base!r}: invalid CIDR address") from None
    if not network.prefixlen <= size <= network.max_prefixlen:
        raise BadValue(f"invalid pool size {size} for {base}")
    return PoolRange(str(network), size)


def from_file(option: Option, value: Any) -> Any:
    """Check and read a value of the JSON file."""
    kind = option.kind
    if kind is Kind.SIZE and isinstance(value, str | int) and not isinstance(value, bool):
        return _size(value)
    expected = {Kind.TEXT: str, Kind.FLAG: bool, Kind.NUMBER: int}.get(kind)
    if expected is not None:
        if not isinstance(value, expected) or (expected is int and isinstance(value, bool)):
            raise _wrong(option)
        return value
    if kind in (Kind.LIST, Kind.POOLS):
        return _list(option, value)
    if not isinstance(value, dict):
        raise _wrong(option)
    return _map(option, value)


def _list(option: Option, value: Any) -> Any:
    if not isinstance(value, list):
        raise _wrong(option)
    if option.kind is Kind.LIST:
        if not all(isinstance(item, str) for item in value):
            raise _wrong(option)
        return tuple(value)
    pools = []
    for item in value:
        match item:
            case {"base": str(base), "size": int(size)}:
                pools.append(_checked_pool(base, size))
            case _:
                raise _wrong(option)
    return tuple(pools)


def _map(option: Option, value: Mapping[str, Any]) -> Any:
    match option.kind:
        case Kind.MAP if option.key == "features":
            if not all(isinstance(item, bool) for item in value.values()):
                raise _wrong(option)
            return {key: str(item).lower() for key, item in value.items()}
        case Kind.MAP:
            if not all(isinstance(item, str) for item in value.values()):
                raise _wrong(option)
            return dict(value)
        case Kind.NESTED:
            if not all(isinstance(item, dict) for item in value.values()):
                raise _wrong(option)
            return {key: dict(item) for key, item in value.items()}
        case Kind.ULIMITS:
            return {name: _file_ulimit(option, name, item) for name, item in value.items()}
        case Kind.RUNTIMES:
            return {name: _file_runtime(option, item) for name, item in value.items()}
        case _:
            return dict(value)


def _file_ulimit(option: Option, name: str, item: Any) -> Ulimit:
    match item:
        case {"Soft": int(soft), "Hard": int(hard)}:
            return _ulimit(f"{name}={soft}:{hard}")[1]
        case _:
            raise _wrong(option)


def _file_runtime(option: Option, item: Any) -> RuntimePath:
    match item:
        case {"runtimeType": _}:
            raise BadValue("runtimes: this engine runs OCI runtimes by path, not by runtimeType")
        case {"path": str(path), **rest} if path and not set(rest) - {"runtimeArgs"}:
            args = rest.get("runtimeArgs") or []
            if isinstance(args, list) and all(isinstance(word, str) for word in args):
                return RuntimePath(path, tuple(args))
    raise _wrong(option)


def _wrong(option: Option) -> BadValue:
    return BadValue(f"{option.key}: the value is not a {option.kind.value}")


def shown(value: Any) -> str:
    """Return a value as Docker's messages print it."""
    match value:
        case bool():
            return str(value).lower()
        case tuple() | list():
            return "[" + " ".join(map(shown, value)) + "]"
        case dict():
            return "map[" + " ".join(f"{key}:{shown(item)}" for key, item in value.items()) + "]"
        case _:
            return str(value)
