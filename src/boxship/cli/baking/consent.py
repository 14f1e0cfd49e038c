"""What a definition may do to this machine: asked for by it, granted by `--allow`.

The folder that bake runs in may be read and written. What is beyond, privileged steps, the host's
network and the ssh agent need consent.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from boxship.cli.baking.builds import local_places
from boxship.cli.building.fields import cache_of, fields, output_of
from boxship.errors import Forbidden, InvalidRequest

if TYPE_CHECKING:
    from boxship.cli.baking.target import Target
    from boxship.cli.shell import Shell

NETWORK: Final = "network.host"
INSECURE: Final = "security.insecure"
SSH: Final = "ssh"
ENGINE: Final = (NETWORK, INSECURE)  # what the engine is told of, too
IMAGES: Final = ("image", "image.push", "image.load")
SWITCH: Final = "BUILDX_BAKE_ENTITLEMENTS_FS"
WORDS: Final = {
    NETWORK: "Running build containers that can access host network",
    INSECURE: "Running privileged containers that can make system changes",
    SSH: "Forwarding default SSH agent socket",
}


@dataclass(slots=True)
class Rights:
    """Plain rights by name, and paths that may be read and written."""

    plain: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    write: set[str] = field(default_factory=set)


def granted(given: Iterable[str], folder: str) -> Rights:
    """Read `--allow`."""
    rights = Rights(read={folder}, write={folder})
    for said in given:
        kind, _, value = said.partition("=")
        if said in WORDS:
            rights.plain.add(said)
        elif kind in ("fs", "fs.read", "fs.write") and value:
            path = os.path.realpath(value)
            if kind != "fs.write":
                rights.read.add(path)
            if kind != "fs.read":
                rights.write.add(path)
        elif kind not in IMAGES:
            raise InvalidRequest(f'unknown entitlement key "{kind}"')
    return rights


def needed(targets: Iterable[Target], environment: Mapping[str, str]) -> Rights:
    """Return what targets do beyond building."""
    rights = Rights()
    for target in targets:
        rights.plain |= set(target.get("entitlements") or ()) & set(ENGINE)
        rights.read |= {os.path.abspath(place) for place in local_places(target)}
        for text in target.get("output") or ():
            where = output_of(text).target
            if where not in ("", "-"):
                rights.write.add(os.path.abspath(where))
        for text in target.get("cache-to") or ():
            kind, attrs = cache_of(text)
            if kind == "local" and attrs.get("dest"):
                rights.write.add(os.path.abspath(attrs["dest"]))
        for text in target.get("cache-from") or ():
            kind, attrs = cache_of(text)
            if kind == "local" and attrs.get("src"):
                rights.read.add(os.path.abspath(attrs["src"]))
        for text in target.get("secret") or ():
            rights.read |= {os.path.abspath(path) for path in _secret(text, environment)}
        for text in target.get("ssh") or ():
            _, _, paths = text.partition("=")
            if paths:
                rights.read |= {os.path.abspath(path) for path in paths.split(",")}
            else:
                rights.plain.add(SSH)
    return rights


def _secret(text: str, environment: Mapping[str, str]) -> list[str]:
    found = fields(text)
    if "env" in found or found.get("type") == "env":
        return []
    path = found.get("src", found.get("source", ""))
    id = found.get("id", "")
    if not path and found.get("type") != "file" and id in environment:
        return []
    return [path or id]


def lacking(wanted: Rights, given: Rights) -> Rights:
    """Return what is wanted and not given."""
    return Rights(
        wanted.plain - given.plain,
        _beyond(wanted.read, given.read),
        _beyond(wanted.write, given.write),
    )


def _beyond(paths: Iterable[str], roots: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        real = _existing(path)
        if not any(os.path.commonpath((real, root)) == root for root in roots):
            found.add(real)
    return found


def _existing(path: str) -> str:
    """Return where a path leads, as far as it exists."""
    real = os.path.realpath(path)
    while not os.path.lexists(real):
        real = os.path.dirname(real)
    return real


def demand(shell: Shell, missing: Rights, words: list[str]) -> None:
    """Ask for what is missing, on a terminal; Forbidden without consent."""
    files = shell.environment.get(SWITCH, "1").lower() not in ("0", "f", "false")
    plain = sorted(missing.plain - ({SSH} if not files else set()))
    lines = [WORDS[name] for name in plain]
    flags = list(plain)
    if files:
        both = missing.read & missing.write
        for paths, what, flag in (
            (both, "Read and write", "fs"),
            (missing.read - both, "Read", "fs.read"),
            (missing.write - both, "Write", "fs.write"),
        ):
            lines += [f"{what} access to path {path}" for path in sorted(paths)]
            flags += [f"{flag}={path}" for path in sorted(paths)]
    if not lines:
        return
    allow = " ".join(f"--allow={flag}" for flag in flags)
    say = shell.err.line
    say("Your build is requesting privileges for following possibly insecure capabilities:\n")
    for line in lines:
        say(f" - {line}")
    terminal = shell.input_is_terminal()
    if terminal:
        say(f'\nIn order to not see this message in the future pass "{allow}" '
            "to grant requested privileges.")  # fmt: skip
    else:
        say(f'\nPass "{allow}" to grant requested privileges.')
    say("\nYour full command with requested privileges:\n")
    say(f"boxship {shell.invoked} {allow} {' '.join(words)}".rstrip() + "\n")
    shell.err.flush()
    if terminal and shell.confirm("Do you want to grant requested privileges and continue?"):
        return
    raise Forbidden("additional privileges requested")
