"""Which addresses a build may make the engine talk to.

Link-local ones are refused: there the cloud tells its machines secrets. A name is looked up
once, and what was found is what is connected to, so that it cannot mean something else later.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from boxship.build.errors import Outside

METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192"))
)

TRANSLATED: Final = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))


def check(address: str) -> None:
    """Refuse an address; InvalidRequest says why."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or _translated(found) or found
    if found.is_link_local or found.is_multicast or found.is_unspecified or found in METADATA:
        raise Outside(f"address {address} is not allowed as a source")


def check_host(host: str) -> None:
    """Refuse a host that is written as an address; a name is looked at when it is looked up."""
    with suppress(ValueError):
        check(urlsplit(f"//{host}").hostname or "")


def _translated(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the address that a translator would turn this one into."""
    if any(address in network for network in TRANSLATED) and int(address) & 0xFFFFFFFF > 1:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


async def addresses(host: str, port: int) -> Sequence[tuple[int, str]]:
    """Look a host up: family and address of each, none of them refused."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as failure:
        raise Outside(f"lookup {host}: {failure.strerror or failure}") from failure
    known = [(family, str(where[0])) for family, _, _, _, where in found]
    for _, address in known:
        check(address)
    return list(dict.fromkeys(known))
