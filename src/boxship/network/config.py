"""What the daemon is told about networks: the flags, as typed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

DEFAULT_BRIDGE: Final = "boxship0"


@dataclass(frozen=True, slots=True)
class Pool:
    """A range that networks are cut from, each with a prefix of `size` bits."""

    base: str
    size: int


DEFAULT_POOLS: Final = (
    *(Pool(f"172.{second}.0.0/16", 16) for second in range(17, 32)),
    Pool("192.168.0.0/16", 20),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkConfig:
    """The daemon's flags that concern networks; the defaults are dockerd's."""

    bridge: str = DEFAULT_BRIDGE  # "none": there is no default bridge
    bip: str = ""
    bip6: str = ""
    fixed_cidr: str = ""
    fixed_cidr_v6: str = ""
    default_gateway: str = ""
    default_gateway_v6: str = ""
    ipv6: bool = False
    mtu: int = 1500
    icc: bool = True
    ip_masq: bool = True
    ip_forward: bool = True
    ip_forward_no_drop: bool = False
    iptables: bool = True
    ip6tables: bool = True
    allow_direct_routing: bool = False
    ip: str = "0.0.0.0"  # host address of ports published without one
    dns: Sequence[str] = ()
    dns_search: Sequence[str] = ()
    dns_options: Sequence[str] = ()
    host_gateway_ips: Sequence[str] = ()
    default_address_pools: Sequence[Pool] = DEFAULT_POOLS
    default_network_opts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    instance: str = ""  # names the daemon's kernel objects; empty: the bridge's name

    @property
    def owner(self) -> str:
        """The mark on links and tables of this daemon; several daemons may share a host."""
        return self.instance or (self.bridge if self.bridge != "none" else "boxship")
