"""`RUN --device=vendor.com/class=name,required`: which devices a process asks for."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Final

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.mounts import FALSE, TRUE
from boxship.build.dockerfile.shell import quoted
from boxship.build.ops import Device

REQUIRED: Final = "required"


def parse(text: str, expand: Callable[[str], str]) -> Device:
    """Read one --device flag; a device that is not required may be missing."""
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise DockerfileError(f"failed to parse csv devices: {error}") from None
    name, required = "", False
    for number, field in enumerate(rows[0] if rows else ()):
        key, equals, value = field.partition("=")
        match key.lower():
            case "name" if equals:
                name = expand(value)
            case "required" if not equals or value.lower() in TRUE | FALSE:
                required = not equals or value.lower() in TRUE
            case "required":
                raise DockerfileError(f"invalid value for {key}: {value}")
            case _ if number == 0:
                name = expand(field)
            case _:
                raise DockerfileError(f"unexpected key {quoted(key)} in {quoted(field)}")
    if not name:
        raise DockerfileError(f"no device name in {quoted(text)}")
    return Device(name, optional=not required)
