"""What `--invoke` asks to be run, and what `exec` of the monitor does. Pure."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from boxship.errors import InvalidRequest

DEFAULTS: Final = ("", "default", "on-error")
MONITOR: Final = "debug-shell"
YES: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Invoke:
    """A program and how it is run; what is not said is the step's, or the image's.

    idle: nothing is run until the monitor is asked to.
    """

    command: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    user: str | None = None
    cwd: str | None = None
    tty: bool | None = None
    idle: bool = False


def read(text: str) -> Invoke:
    """Read a command, `default`, `debug-shell`, or fields: `entrypoint=sh,args=-c,env=A=b`."""
    if text in DEFAULTS:
        return Invoke()
    if text == MONITOR:
        return Invoke(idle=True)
    (parts,) = csv.reader([text])
    keys = ("args", "entrypoint", "env", "user", "cwd", "tty")
    if parts[0].partition("=")[0] not in keys or "=" not in parts[0]:
        return Invoke(tuple(words(text)))
    said: dict[str, list[str]] = {key: [] for key in keys}
    for part in parts:
        key, equals, value = part.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid value {part}")
        if key not in said:
            raise InvalidRequest(f"unknown key {key!r}")
        said[key].append(value)
    tty = said["tty"][-1] if said["tty"] else ""
    if tty and tty not in YES:
        raise InvalidRequest(f"failed to parse tty: {tty}")
    return Invoke(
        (*said["entrypoint"], *said["args"]),
        tuple(said["env"]),
        _last(said["user"]),
        _last(said["cwd"]),
        YES.get(tty),
    )


def words(line: str) -> list[str]:
    """Return a line's words, with a shell's quotes."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise InvalidRequest(f"cannot parse {line!r}: {str(error).lower()}") from None


def _last(said: Sequence[str]) -> str | None:
    return said[-1] if said else None
