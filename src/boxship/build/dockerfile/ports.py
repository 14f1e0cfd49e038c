"""What EXPOSE declares: `[[ip:]host:]port[-port][/protocol]`."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from boxship.build.dockerfile.errors import DockerfileError

PROTOCOLS: Final = ("tcp", "udp", "sctp")
HIGHEST: Final = 65535


@dataclass(frozen=True, slots=True)
class Exposed:
    """The ports of one word; `mapped` where it names a host's port or address."""

    ports: tuple[str, ...]
    mapped: bool
    protocol: str  # as written


def parse(word: str) -> Exposed:
    """Read one word, or raise in BuildKit's words."""
    *before, port = word.rsplit(":", 2)
    address, host = ("", *before)[-2:] if before else ("", "")
    number, _, protocol = port.partition("/")
    if not number:
        raise DockerfileError(f"no port specified: {port}<empty>")
    if protocol.lower() not in ("", *PROTOCOLS):
        raise DockerfileError(f"invalid proto: {protocol.lower()}")
    if address:
        _address(address)
    span = _range(number)
    if span is None:
        raise DockerfileError(f"invalid containerPort: {number}")
    if host:
        _host(host, number, span)
    kind = protocol.lower() or "tcp"
    ports = tuple(f"{at}/{kind}" for at in range(span[0], span[1] + 1))
    return Exposed(ports, bool(before), protocol)


def _address(text: str) -> None:
    try:
        ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise DockerfileError(f"invalid IP address: {text}") from None


def _host(host: str, number: str, span: tuple[int, int]) -> None:
    theirs = _range(host)
    if theirs is None:
        raise DockerfileError(f"invalid hostPort: {host}")
    if span[1] - span[0] != theirs[1] - theirs[0] and span[0] != span[1]:
        raise DockerfileError(
            f"invalid ranges specified for container and host Ports: {number} and {host}"
        )


def _range(text: str) -> tuple[int, int] | None:
    parts = text.split("-")
    if len(parts) > 2 or not all(p.isascii() and p.isdigit() and len(p) < 10 for p in parts):
        return None
    first, last = int(parts[0]), int(parts[-1])
    return (first, last) if first <= last <= HIGHEST else None
