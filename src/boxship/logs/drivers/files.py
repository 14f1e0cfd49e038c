"""The drivers whose logs are files that the shim writes and the daemon reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from boxship.errors import NotFound
from boxship.logs import attributes
from boxship.logs.drivers.driver import Driver
from boxship.logs.drivers.options import ATTRIBUTE_OPTIONS, Rotation, buffer, only, rotation
from boxship.logs.formats import Format, JsonFormat, LocalFormat
from boxship.shim.protocol import LogChoice

_COMMON: Final = ("max-size", "max-file", "compress")
_BOUNDED: Final = Rotation(max_size=20 << 20, max_file=5, compress=True)


class JsonFile:
    """`json-file`, with labels, environment and tag beside each line. It is rotated by default."""

    name = "json-file"

    def validate(self, options: Mapping[str, str]) -> None:
        only(options, (*_COMMON, *ATTRIBUTE_OPTIONS), self.name)
        rotation(options, _json_default(options))
        attributes.check(options)

    def path(self, folder: str, container: str) -> str:
        return f"{folder}/{container}-json.log"

    def choose(self, options: Mapping[str, str], path: str, attrs: Mapping[str, str]) -> LogChoice:
        return _choice(self.name, path, options, _json_default(options), attrs)

    def format(self) -> Format:
        return JsonFormat()


def _json_default(options: Mapping[str, str]) -> Rotation:
    """Return what holds where nothing is said; who says a size or a number says all of it."""
    if "max-size" in options or "max-file" in options:
        return Rotation(max_size=0, max_file=1, compress=False)
    return _BOUNDED


class Local:
    """`local`: smaller, and quicker to read from its end."""

    name = "local"

    def validate(self, options: Mapping[str, str]) -> None:
        only(options, (*_COMMON, *ATTRIBUTE_OPTIONS), self.name)
        rotation(options, _BOUNDED)
        attributes.check(options)

    def path(self, folder: str, container: str) -> str:
        return f"{folder}/local-logs/container.log"

    def choose(self, options: Mapping[str, str], path: str, attrs: Mapping[str, str]) -> LogChoice:
        return _choice(self.name, path, options, _BOUNDED, {})

    def format(self) -> Format:
        return LocalFormat()


class Nothing:
    """`none`: output goes to attached clients only."""

    name = "none"

    def validate(self, options: Mapping[str, str]) -> None:
        only(options, (), self.name)

    def path(self, folder: str, container: str) -> str:
        return ""

    def choose(self, options: Mapping[str, str], path: str, attrs: Mapping[str, str]) -> LogChoice:
        return LogChoice()

    def format(self) -> None:
        return None


def _choice(
    name: str, path: str, options: Mapping[str, str], default: Rotation, attrs: Mapping[str, str]
) -> LogChoice:
    kept = rotation(options, default)
    return LogChoice(
        driver=name,
        path=path,
        max_size=kept.max_size,
        max_file=kept.max_file,
        compress=kept.compress,
        buffer=buffer(options),
        attrs=dict(attrs),
    )


class NoSuchDriver(NotFound):
    """No log driver has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"logger: no log driver named '{name}' is registered")


DRIVERS: Final[Mapping[str, Driver]] = {
    driver.name: driver for driver in (JsonFile(), Local(), Nothing())
}


def driver(name: str) -> Driver:
    """Return a driver by its name; an empty one means json-file."""
    try:
        return DRIVERS[name or JsonFile.name]
    except KeyError:
        raise NoSuchDriver(name) from None
