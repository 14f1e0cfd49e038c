"""Links: `--link` between containers of the default bridge.

    record.links         alias -> ID, fixed when the container is made
    hosts                <address> <alias> <hostname> <name>, renewed when the other starts again
    environment          <ALIAS>_PORT_80_TCP_ADDR and its like, for what the other exposes

On networks with names of their own, links are names there and nothing of this.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from boxship.container.errors import NoSuchContainer
from boxship.container.lifecycle import State
from boxship.container.record import Container
from boxship.container.registry import Registry
from boxship.errors import InvalidRequest

BRIDGE = "bridge"
NOT_PASSED_ON = ("HOME", "PATH")
LARGEST: Final = 1 << 20  # bytes of a hosts file that is changed
ALIAS = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


def parse(text: str) -> tuple[str, str]:
    """Read `NAME[:ALIAS]`, or what inspect shows, `/NAME:/OWN/ALIAS`: name and alias."""
    if not text:
        raise InvalidRequest("empty string specified for links")
    name, colon, alias = text.partition(":")
    if ":" in alias:
        raise InvalidRequest(f"bad format for links: {text}")
    if name.startswith("/"):
        name, alias = name[1:], posixpath.basename(alias)
    alias = alias if colon else name
    if not name or not ALIAS.fullmatch(alias):
        raise InvalidRequest(f"bad format for links: {text}")
    return name, alias


def resolved(texts: Iterable[str], registry: Registry) -> dict[str, Container]:
    """Return the containers that are meant, by alias."""
    found: dict[str, Container] = {}
    for text in texts:
        name, alias = parse(text)
        try:
            other = registry.find(name).record
        except NoSuchContainer as reason:  # not as such: clients would pull the image
            raise InvalidRequest(f"could not get container for {name}: {reason}") from None
        if other.host_config.network_mode == "host":
            raise InvalidRequest(
                "conflicting options: host type networking can't be used with links. "
                "This would result in undefined behavior"
            )
        found[alias] = other
    return found


def shown(others: Mapping[str, Container], own: str) -> list[str]:
    """Return links as inspect shows them."""
    return [f"/{other.name}:/{own}/{alias}" for alias, other in others.items()]


def running(record: Container, registry: Registry) -> dict[str, Container]:
    """Return the linked containers of one that starts; all of those that exist must run."""
    found: dict[str, Container] = {}
    for alias, identifier in record.links.items():
        cell = registry.get(identifier)
        if cell is None:
            continue
        other = cell.record
        if other.state not in (State.RUNNING, State.PAUSED):
            raise InvalidRequest(
                f"Cannot link to a non running container: /{other.name} AS /{record.name}/{alias}"
            )
        if not address(other):
            raise InvalidRequest(
                f"Cannot link to /{other.name}, as it does not belong to the default network"
            )
        found[alias] = other
    return found


def address(record: Container) -> str:
    """Return a running container's address on the default bridge."""
    settings = record.network.endpoints.get(BRIDGE)
    return (settings.ip_address if settings else None) or ""


def names(alias: str, other: Container) -> str:
    """Return what a linked container is called in the hosts file."""
    words = [alias, other.config.hostname or "", "" if other.name == alias else other.name]
    return " ".join(word for word in words if word)


def hosts(others: Mapping[str, Container]) -> list[str]:
    """Return lines for the hosts file, in the form of `--add-host`."""
    return [f"{names(alias, other)}={address(other)}" for alias, other in others.items()]


def rewrite(path: str, change: Callable[[str], str]) -> None:
    """Change a hosts file in place: running containers keep seeing what was bound into them.

    It is in its container's hands. A large one is left alone, and any bytes are kept.
    """
    with open(path, "r+b") as file:
        data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            return
        text = change(data.decode(errors="surrogateescape"))
        file.seek(0)
        file.write(text.encode(errors="surrogateescape"))
        file.truncate()


def renewed(text: str, called: str, at: str) -> str:
    """Return a hosts file in which a linked container has another address."""
    lines = [
        f"{at}\t{called}" if line.partition("\t")[2] == called else line
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"


def without(text: str, called: str) -> str:
    """Return a hosts file without a linked container's line."""
    return "".join(
        line for line in text.splitlines(keepends=True) if line.strip().partition("\t")[2] != called
    )


def environment(others: Mapping[str, Container], own: str) -> list[str]:
    """Return the variables that tell of all links."""
    return [
        line for alias, other in others.items() for line in _of_one(alias, other, f"/{own}/{alias}")
    ]


def _of_one(alias: str, other: Container, name: str) -> Iterator[str]:
    prefix = alias.upper().replace("-", "_")
    at = address(other)
    ports = sorted(_ports(other.config.exposed_ports or ()), key=lambda one: (one[1] != "tcp", one))
    if ports:
        number, protocol = ports[0]
        yield f"{prefix}_PORT={protocol}://{at}:{number}"
    for first, last in _ranges(ports):
        number, protocol = first
        start = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{start}_START={protocol}://{at}:{number}"
        yield f"{start}_PORT_START={number}"
        yield f"{start}_END={protocol}://{at}:{last[0]}"
        yield f"{start}_PORT_END={last[0]}"
    for number, protocol in ports:
        start = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{start}={protocol}://{at}:{number}"
        yield f"{start}_ADDR={at}"
        yield f"{start}_PORT={number}"
        yield f"{start}_PROTO={protocol}"
    yield f"{prefix}_NAME={name}"
    for line in other.config.env or ():
        key, equals, value = line.partition("=")
        if equals and key not in NOT_PASSED_ON:
            yield f"{prefix}_ENV_{key}={value}"


def _ports(exposed: Iterable[str]) -> Iterator[tuple[int, str]]:
    for text in exposed:
        numbers, _, protocol = text.partition("/")
        low, _, high = numbers.partition("-")
        for number in range(int(low), int(high or low) + 1):
            yield number, protocol.lower() or "tcp"


def _ranges(ports: Sequence[tuple[int, str]]) -> Iterator[tuple[tuple[int, str], tuple[int, str]]]:
    """Yield the first and the last of ports that follow each other."""
    at = 0
    while at < len(ports):
        end = at
        while end + 1 < len(ports) and ports[end + 1] == (ports[end][0] + 1, ports[end][1]):
            end += 1
        if end > at:
            yield ports[at], ports[end]
        at = end + 1
