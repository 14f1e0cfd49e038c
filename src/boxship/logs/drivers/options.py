"""The options that drivers with files share."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from boxship.errors import InvalidRequest

_SIZE: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_BEYOND: Final = 1 << 63  # what no file's size comes to
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
ATTRIBUTE_OPTIONS: Final = ("labels", "labels-regex", "env", "env-regex", "tag")
MODES: Final = ("", "blocking", "non-blocking")
NON_BLOCKING: Final = "non-blocking"
SHARED: Final = (
    *("mode", "max-buffer-size"),
    *("cache-disabled", "cache-max-file", "cache-max-size", "cache-compress"),
)
BUFFER: Final = 1 << 20
TRUE: Final = ("1", "t", "T", "true", "TRUE", "True")
FALSE: Final = ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, slots=True)
class Rotation:
    """How much is kept: 0 is a size without limit."""

    max_size: int
    max_file: int
    compress: bool


def only(options: Mapping[str, str], known: Collection[str], driver: str) -> None:
    """Refuse options that the driver does not have; some belong to all."""
    if (mode := options.get("mode", "")) not in MODES:
        raise InvalidRequest(f"logger: logging mode not supported: {mode}")
    buffer(options)
    for name in options:
        if name not in known and name not in SHARED:
            raise InvalidRequest(f"unknown log opt '{name}' for {driver} log driver")


def buffer(options: Mapping[str, str]) -> int:
    """Return how much output may wait for its log while the program goes on; 0: it waits too."""
    said = options.get("max-buffer-size")
    if options.get("mode") != NON_BLOCKING:
        if said is not None:
            raise InvalidRequest(
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
            )
        return 0
    return BUFFER if said is None else size(said, "max-buffer-size")


def rotation(options: Mapping[str, str], default: Rotation) -> Rotation:
    """Read max-size, max-file and compress, and check what goes with them."""
    max_size = default.max_size
    if (text := options.get("max-size")) is not None:
        max_size = 0 if text == "-1" else size(text)
    max_file = _number(options.get("max-file", str(default.max_file)))
    compress = default.compress and max_file > 1
    if (text := options.get("compress")) is not None:
        compress = flag(text)
        if compress and (max_file == 1 or not max_size):
            raise InvalidRequest("compress cannot be true when max-file is less than 2 or unset")
    return Rotation(max_size, max_file, compress)


def size(text: str, what: str = "max-size") -> int:
    """Read a size with a unit of 1024, as in `10m`."""
    found = _SIZE.fullmatch(text.strip())
    if not found:
        raise InvalidRequest(f"invalid size: '{text}'")
    value = float(found[1]) * 1024 ** _POWERS[found[2].lower()]
    if value >= _BEYOND:
        raise InvalidRequest(f"invalid size: '{text}'")
    if value < 1:
        raise InvalidRequest(f"{what} must be a positive number: '{text}'")
    return int(value)


def flag(text: str) -> bool:
    """Read a boolean as Go does."""
    if text not in TRUE + FALSE:
        raise InvalidRequest(f"invalid boolean value: {text!r}")
    return text in TRUE


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise InvalidRequest(f"max-file is no number: {text[:40]!r}")
    if int(text) < 1:
        raise InvalidRequest(f"max-file cannot be less than 1: {text!r}")
    return int(text)
