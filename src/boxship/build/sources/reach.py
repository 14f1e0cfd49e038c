"""Which addresses a build may make the engine talk to.

Link-local ones are refused: there the cloud tells its machines secrets. A name is looked up
once, and what was found is what is connected to, so that it cannot mean something else later.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from typing import Final

from boxship.build.errors import Outside

METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200", "192.0.0.192"))
)


def check(address: str) -> None:
    """Refuse an address; InvalidRequest says why."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    if found.is_link_local or found.is_multicast or found.is_unspecified or found in METADATA:
        raise Outside(f"address {address} is not allowed as a source")


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
