"""Names of kernel objects, derived: who reads one finds its owner again."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from boxship.model.ids import EndpointId, NetworkId

LINK_PREFIX: Final = "bx"
_ODD: Final = re.compile(r"[^A-Za-z0-9_]")
LONGEST: Final = 15  # an interface name


def host_link(endpoint: EndpointId) -> str:
    """Name the host's end of an endpoint's link."""
    return f"{LINK_PREFIX}{endpoint[:12]}"


def bridge(network: NetworkId) -> str:
    """Name the bridge of a user-defined network that asks for no name."""
    return f"br-{network[:12]}"


def table(owner: str) -> str:
    """Name a daemon's nftables table."""
    return "boxship_" + _ODD.sub("_", owner)


def mark(owner: str) -> str:
    """Return the comment on a daemon's rules in other programs' tables."""
    return f"boxship {owner}"


def number(owner: str) -> int:
    """Return the number that marks a daemon's links (as their group) and routes."""
    return int.from_bytes(hashlib.sha256(owner.encode()).digest()[:3], "big") + 1
