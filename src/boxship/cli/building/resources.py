"""What the steps of a build may use: `--resource memory=2g`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from boxship.cli.kinds import parse_swap
from boxship.errors import InvalidRequest
from boxship.lib.units import parse_ram

NUMBERS: Final[Mapping[str, Callable[[str], int]]] = {
    "memory": parse_ram,
    "memory-swap": parse_swap,
    "cpu-period": int,
    "cpu-quota": int,
    "cpu-shares": int,
}
TEXTS: Final = ("cpuset-cpus", "cpuset-mems")
CALLED: Final = {"memory-swap": "memswap"}  # by the front end; others lose their dashes


def resources_of(given: Iterable[str]) -> dict[str, str]:
    """Read `key=value`s as the front end's options; of a key the last one counts."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or not value:
            raise InvalidRequest(f'invalid resource "{text}", expected key=value')
        if key in TEXTS:
            found[option(key)] = value
        elif key in NUMBERS:
            try:
                found[option(key)] = str(NUMBERS[key](value))
            except ValueError:
                raise InvalidRequest(f'invalid value "{value}" for resource {key}') from None
        else:
            known = ", ".join((*NUMBERS, *TEXTS))
            raise InvalidRequest(f'unknown resource "{key}", expected one of {known}')
    return found


def option(key: str) -> str:
    """Return what the front end calls a limit."""
    return CALLED.get(key, key.replace("-", ""))
