"""`--name` and `--name=value` before an instruction's arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from boxship.build.dockerfile.errors import DockerfileError, suggest


class Kind(Enum):
    """What a flag takes."""

    BOOL = "bool"
    TEXT = "text"
    LIST = "list"


@dataclass(slots=True)
class Flags:
    """The flags of one instruction."""

    texts: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    bools: dict[str, bool] = field(default_factory=dict)

    def text(self, name: str, default: str = "") -> str:
        """Return a flag's value."""
        return self.texts.get(name, default)

    def all(self, name: str) -> tuple[str, ...]:
        """Return each value of a flag that may come again."""
        return tuple(self.lists.get(name, ()))

    def is_true(self, name: str) -> bool:
        """Whether a flag was given and not `=false`."""
        return self.bools.get(name, False)

    def maybe(self, name: str) -> bool | None:
        """Return a flag's value, None where it was not given."""
        return self.bools.get(name)


def read(words: Iterable[str], known: Mapping[str, Kind]) -> Flags:
    """Read the words, or raise in BuildKit's words."""
    flags = Flags()
    for word in words:
        if word == "--":
            break
        name, equals, value = word[2:].partition("=")
        kind = known.get(name)
        if kind is None:
            raise DockerfileError(suggest(f"unknown flag: {name}", name, known))
        if name in flags.texts or name in flags.bools:
            raise DockerfileError(f"duplicate flag specified: {name}")
        match kind:
            case Kind.BOOL:
                flags.bools[name] = _truth(name, value, bool(equals))
            case Kind.TEXT if equals:
                flags.texts[name] = value
            case Kind.LIST if equals:
                flags.lists.setdefault(name, []).append(value)
            case _:
                raise DockerfileError(f"missing a value on flag: {name}")
    return flags


def _truth(name: str, value: str, is_given: bool) -> bool:
    if is_given and not value:
        raise DockerfileError(f"missing a value on flag: {name}")
    if value.lower() not in ("", "true", "false"):
        raise DockerfileError(f"expecting boolean value for flag {name}, not: {value}")
    return value.lower() != "false"
