"""Network and Endpoint: the nouns as they are kept, frozen."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from boxship.model.ids import ContainerId, EndpointId, NetworkId, SandboxId

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Prefix = ipaddress.IPv4Network | ipaddress.IPv6Network

BRIDGE: Final = "bridge"
HOST: Final = "host"
NONE: Final = "none"
PREDEFINED: Final = frozenset({BRIDGE, HOST, NONE})


@dataclass(frozen=True, slots=True)
class Subnet:
    """A range of addresses of one network, as text in canonical form."""

    subnet: str
    gateway: str  # without a prefix length; empty where the network has none
    range: str = ""  # addresses are given out of this part only
    auxiliary: Mapping[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> Prefix:
        """The range as a value."""
        return ipaddress.ip_network(self.subnet)

    @property
    def version(self) -> int:
        """4 or 6."""
        return 6 if ":" in self.subnet else 4


@dataclass(frozen=True, slots=True)
class Network:
    """A network that containers can be joined to."""

    id: NetworkId
    name: str
    driver: str
    created: str  # RFC 3339
    scope: str = "local"
    ipv4: bool = True
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] | None = None
    subnets: tuple[Subnet, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def predefined(self) -> bool:
        """Whether the engine made it and nobody may remove it."""
        return self.name in PREDEFINED

    @property
    def user_defined(self) -> bool:
        """Whether a user made it: its containers then find each other by name."""
        return not self.predefined

    def subnet(self, version: int) -> Subnet | None:
        """The first range of an address family."""
        return next((one for one in self.subnets if one.version == version), None)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One container's attachment to one network."""

    id: EndpointId
    network: NetworkId
    container: ContainerId
    container_name: str
    link: str = ""  # the host's end; empty where the network has none
    interface: str = ""  # the container's end
    mac: str = ""
    ipv4: str = ""
    ipv6: str = ""
    requested_ipv4: str = ""
    requested_ipv6: str = ""
    requested_mac: str = ""
    aliases: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0  # the highest one gives the default route


@dataclass(frozen=True, slots=True)
class Publication:
    """A port of a container that the host answers for."""

    protocol: str  # tcp, udp, sctp
    host_address: str  # 0.0.0.0 and :: stand for every address of the host
    host_port: int
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """What is kept of an open sandbox; the container's record carries it as bytes."""

    id: SandboxId
    container: ContainerId
    mode: str
    endpoints: tuple[Endpoint, ...] = ()
    publications: tuple[Publication, ...] = ()
    exposed: tuple[str, ...] = ()
