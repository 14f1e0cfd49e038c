"""The flags of the `boxship-runtime` command: those that other runtimes' commands take.

They are few and read by programs, so a table and a short loop do; a start does not wait for a
library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from boxship.errors import InvalidRequest

GLOBAL: Final = {"root": 1, "log": 1, "log-format": 1, "criu": 1, "rootless": 1, "debug": 0,
                 "systemd-cgroup": 0, "version": 0, "help": 0}  # fmt: skip
START: Final = {"bundle": 1, "console-socket": 1, "pid-file": 1, "no-pivot": 0,
                "no-new-keyring": 0, "preserve-fds": 1, "no-subreaper": 0, "keep": 0,
                "pidfd-socket": 1}  # fmt: skip
# Of each command its flags, with 1 for those that take a value.
COMMANDS: Final[Mapping[str, Mapping[str, int]]] = {
    "create": START,
    "run": {**START, "detach": 0},
    "start": {},
    "state": {},
    "kill": {"all": 0},
    "delete": {"force": 0},
    "exec": {"console-socket": 1, "pid-file": 1, "process": 1, "detach": 0, "tty": 0, "env": 1,
             "user": 1, "additional-gids": 1, "cwd": 1, "no-new-privs": 0, "cap": 1,
             "preserve-fds": 1, "process-label": 1, "apparmor": 1, "cgroup": 1,
             "ignore-paused": 0, "pidfd-socket": 1},
    "ps": {"format": 1},
    "pause": {},
    "resume": {},
    "update": {"resources": 1, "memory": 1, "memory-reservation": 1, "memory-swap": 1,
               "cpu-share": 1, "cpu-shares": 1, "cpu-quota": 1, "cpu-period": 1,
               "cpuset-cpus": 1, "cpuset-mems": 1, "pids-limit": 1, "blkio-weight": 1},
    "features": {},
    "list": {"format": 1, "quiet": 0},
    "spec": {"bundle": 1, "rootless": 0},
    "events": {"interval": 1, "stats": 0},
}  # fmt: skip
SHORT: Final = {"b": "bundle", "f": "format", "d": "detach", "t": "tty", "e": "env", "u": "user",
                "g": "additional-gids", "p": "process", "c": "cap", "a": "all", "r": "resources",
                "q": "quiet", "h": "help", "v": "version"}  # fmt: skip
Flags = dict[str, list[str]]


def read(words: Sequence[str], known: Mapping[str, int], *, stops: bool) -> tuple[Flags, list[str]]:
    """Return the flags found, and the other words.

    With `stops` the first other word ends the flags: what follows is another command's.
    """
    found: Flags = {}
    others: list[str] = []
    left = list(reversed(words))
    while left:
        word = left.pop()
        if word == "--":
            others.extend(reversed(left))
            break
        if not word.startswith("-") or word == "-":
            others.append(word)
            if stops:
                others.extend(reversed(left))
                break
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = SHORT.get(name, name) if word[1] != "-" or len(name) == 1 else name
        if name not in known:
            raise InvalidRequest(f"flag provided but not defined: {word}")
        if known[name] and not equals:
            if not left:
                raise InvalidRequest(f"flag needs an argument: {word}")
            value = left.pop()
        found.setdefault(name, []).append(value if known[name] or equals else "true")
    return found, others


def text(flags: Flags, name: str, otherwise: str = "") -> str:
    """Return a flag's last value."""
    return flags[name][-1] if name in flags else otherwise


def given(flags: Flags, name: str) -> bool:
    """Whether a flag is there and not switched off."""
    return text(flags, name, "false") not in ("false", "0")


def number(flags: Flags, name: str) -> int | None:
    """Return a flag's value as a number; None when it is not there."""
    if name not in flags:
        return None
    try:
        return int(flags[name][-1])
    except ValueError:
        raise InvalidRequest(f"invalid value {flags[name][-1]!r} for flag -{name}") from None
