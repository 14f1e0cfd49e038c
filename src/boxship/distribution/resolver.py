"""Names to addresses: as the system does it, but `localhost` is this machine and no other.

RFC 6761, section 6.3: names that end in `localhost` lead to the loopback without asking anybody.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver

LOOPBACK: Final = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def is_local(host: str) -> bool:
    """Whether a name is `localhost`, or beneath it."""
    name = host.rstrip(".").lower()
    return name == "localhost" or name.endswith(".localhost")


def make() -> AbstractResolver:
    """Return the resolver; aiohttp is imported only now."""
    from aiohttp.abc import ResolveResult
    from aiohttp.resolver import ThreadedResolver

    class Resolver(ThreadedResolver):
        """The system's, except for this machine itself."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            if not is_local(host):
                return await super().resolve(host, port, family)
            families = LOOPBACK if family == socket.AF_UNSPEC else {family: LOOPBACK[family]}
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=of,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
                for of, address in families.items()
            ]

    return Resolver()
