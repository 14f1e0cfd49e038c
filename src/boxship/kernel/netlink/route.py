"""rtnetlink: links, addresses, routes, neighbours. Each function makes one request."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import Final

from boxship.kernel.netlink.codec import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Request,
    attribute,
    attribute_map,
    nested,
    number,
    text,
    to_number,
    to_text,
)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Prefix = ipaddress.IPv4Network | ipaddress.IPv6Network

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22
RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26
RTM_NEWNEIGH: Final = 28
RTM_DELNEIGH: Final = 29

IFLA_ADDRESS: Final = 1
IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4
IFLA_MASTER: Final = 10
IFLA_LINKINFO: Final = 18
IFLA_IFALIAS: Final = 20
IFLA_STATS64: Final = 23
IFLA_GROUP: Final = 27
IFLA_NET_NS_FD: Final = 28
IFLA_INFO_KIND: Final = 1
IFLA_INFO_DATA: Final = 2
IFLA_INFO_SLAVE_KIND: Final = 4
IFLA_INFO_SLAVE_DATA: Final = 5
VETH_INFO_PEER: Final = 1
IFLA_BRPORT_MODE: Final = 4  # hairpin
IFLA_BRPORT_ISOLATED: Final = 33
IFLA_BR_FORWARD_DELAY: Final = 1
IFF_UP: Final = 1

IFA_ADDRESS: Final = 1
IFA_LOCAL: Final = 2
IFA_FLAGS: Final = 8
IFA_F_NODAD: Final = 0x02

RTA_DST: Final = 1
RTA_OIF: Final = 4
RTA_GATEWAY: Final = 5
RT_TABLE_MAIN: Final = 254
RTPROT_BOOT: Final = 3
RTN_UNICAST: Final = 1
RT_SCOPE_UNIVERSE: Final = 0
RT_SCOPE_LINK: Final = 253

NDA_DST: Final = 1
NDA_LLADDR: Final = 2
NUD_PERMANENT: Final = 0x80

_LINK: Final = struct.Struct("BxHiII")
_ADDRESS: Final = struct.Struct("BBBBI")
_ROUTE: Final = struct.Struct("BBBBBBBBI")
_NEIGHBOUR: Final = struct.Struct("BxxxiHBB")


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface as the kernel lists it."""

    index: int
    name: str
    kind: str  # "veth", "bridge", ...; empty for hardware and loopback
    master: int
    mtu: int
    up: bool
    mac: str
    alias: str
    group: int


@dataclass(frozen=True, slots=True)
class Counters:
    """What a link has carried."""

    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_errors: int
    tx_errors: int
    rx_dropped: int
    tx_dropped: int


def _head(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return _LINK.pack(0, 0, index, flags, change)


def mac_bytes(mac: str) -> bytes:
    """Read `02:42:ac:11:00:02`; raises ValueError for anything else."""
    parts = [int(part, 16) for part in mac.replace("-", ":").split(":")]
    if len(parts) != 6:
        raise ValueError(f"not a MAC address: {mac!r}")
    return bytes(parts)


def add_veth(
    name: str,
    *,
    peer: str,
    peer_namespace: int,
    master: int = 0,
    mac: str = "",
    mtu: int = 1500,
    group: int = 0,
) -> Request:
    """Make a pair: `name` here, up and in the bridge `master`; `peer` in another namespace."""
    size = number(IFLA_MTU, mtu)
    far = _head() + text(IFLA_IFNAME, peer)
    far += number(IFLA_NET_NS_FD, peer_namespace) + size
    if mac:
        far += attribute(IFLA_ADDRESS, mac_bytes(mac))
    info = text(IFLA_INFO_KIND, "veth")
    info += nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, far))
    body = _head(0, IFF_UP, IFF_UP) + text(IFLA_IFNAME, name) + size
    if master:
        body += number(IFLA_MASTER, master)
    if group:
        body += number(IFLA_GROUP, group)
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body + nested(IFLA_LINKINFO, info))


def add_bridge(name: str, *, mtu: int = 1500, mac: str = "", group: int = 0) -> Request:
    """Make a bridge, down: without spanning tree, so a port forwards as soon as it is up."""
    info = text(IFLA_INFO_KIND, "bridge") + nested(IFLA_INFO_DATA, number(IFLA_BR_FORWARD_DELAY, 0))
    body = _head() + text(IFLA_IFNAME, name) + number(IFLA_MTU, mtu)
    if mac:
        body += attribute(IFLA_ADDRESS, mac_bytes(mac))
    if group:
        body += number(IFLA_GROUP, group)
    return Request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body + nested(IFLA_LINKINFO, info))


def set_link(
    index: int = 0,
    *,
    name: str = "",
    up: bool | None = None,
    mtu: int = 0,
    alias: str | None = None,
    rename: str = "",
) -> Request:
    """Change a link that `index`, or else `name`, tells."""
    flags = IFF_UP if up else 0
    body = _head(index, flags, 0 if up is None else IFF_UP)
    if name:
        body += text(IFLA_IFNAME, name)
    elif rename:
        body += text(IFLA_IFNAME, rename)
    if mtu:
        body += number(IFLA_MTU, mtu)
    if alias is not None:
        body += text(IFLA_IFALIAS, alias)
    return Request(RTM_NEWLINK, 0, body)


def set_bridge_port(
    index: int = 0, *, name: str = "", isolated: bool | None = None, hairpin: bool | None = None
) -> Request:
    """Set a port's flags: an isolated one reaches no other isolated one, only the bridge."""
    flags = b""
    if isolated is not None:
        flags += attribute(IFLA_BRPORT_ISOLATED, bytes([isolated]))
    if hairpin is not None:
        flags += attribute(IFLA_BRPORT_MODE, bytes([hairpin]))
    info = text(IFLA_INFO_SLAVE_KIND, "bridge") + nested(IFLA_INFO_SLAVE_DATA, flags)
    body = _head(index)
    if name:
        body += text(IFLA_IFNAME, name)
    return Request(RTM_NEWLINK, 0, body + nested(IFLA_LINKINFO, info))


def delete_link(index: int = 0, *, name: str = "", group: int | None = None) -> Request:
    """Delete a link. It costs an RCU grace period, about 30 ms; a `group` costs one for all."""
    body = _head(index)
    if name:
        body += text(IFLA_IFNAME, name)
    if group is not None:
        body += number(IFLA_GROUP, group)
    return Request(RTM_DELLINK, 0, body)


def get_link(index: int = 0, *, name: str = "") -> Request:
    """Ask for one link."""
    return Request(RTM_GETLINK, 0, _head(index) + (text(IFLA_IFNAME, name) if name else b""))


def get_links() -> Request:
    """Ask for all links (`Netlink.dump`)."""
    return Request(RTM_GETLINK, 0, _head())


def read_link(message: Message) -> Link:
    """Decode the answer to `get_link`."""
    index, flags = struct.unpack_from("iI", message.body, 4)
    found = attribute_map(message.body, _LINK.size)
    info = attribute_map(found.get(IFLA_LINKINFO, b""))
    return Link(
        index=index,
        name=to_text(found.get(IFLA_IFNAME, b"")),
        kind=to_text(info.get(IFLA_INFO_KIND, b"")),
        master=to_number(found.get(IFLA_MASTER, b"")),
        mtu=to_number(found.get(IFLA_MTU, b"")),
        up=bool(flags & IFF_UP),
        mac=found.get(IFLA_ADDRESS, b"").hex(":"),
        alias=to_text(found.get(IFLA_IFALIAS, b"")),
        group=to_number(found.get(IFLA_GROUP, b"")),
    )


def read_counters(message: Message) -> Counters:
    """Decode the statistics in the answer to `get_link`."""
    found = attribute_map(message.body, _LINK.size)
    return Counters(*struct.unpack_from("8Q", found[IFLA_STATS64]))


def _address(kind: int, flags: int, index: int, address: Address, length: int) -> Request:
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = _ADDRESS.pack(family, length, 0, 0, index)
    body += attribute(IFA_LOCAL, address.packed) + attribute(IFA_ADDRESS, address.packed)
    if address.version == 6:
        # nobody else can have it: waiting for an answer would delay the first connection by 1 s
        body += number(IFA_FLAGS, IFA_F_NODAD)
    return Request(kind, flags, body)


def add_address(index: int, address: Address, length: int) -> Request:
    """Give a link an address of a prefix of `length` bits; an existing one is kept."""
    return _address(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, index, address, length)


def delete_address(index: int, address: Address, length: int) -> Request:
    """Take an address from a link."""
    return _address(RTM_DELADDR, 0, index, address, length)


def get_addresses(family: int = 0) -> Request:
    """Ask for all addresses (`Netlink.dump`)."""
    return Request(RTM_GETADDR, 0, _ADDRESS.pack(family, 0, 0, 0, 0))


def read_address(message: Message) -> tuple[int, Address, int]:
    """Decode link index, address and prefix length."""
    _, length, _, _, index = _ADDRESS.unpack_from(message.body)
    found = attribute_map(message.body, _ADDRESS.size)
    packed = found.get(IFA_LOCAL) or found[IFA_ADDRESS]
    return index, ipaddress.ip_address(packed), length


def _route(
    kind: int, flags: int, index: int, to: Prefix | None, gateway: Address | None, family: int
) -> Request:
    length = to.prefixlen if to is not None else 0
    scope = RT_SCOPE_UNIVERSE if gateway is not None else RT_SCOPE_LINK
    protocol = RTPROT_BOOT
    body = _ROUTE.pack(
        family, length, 0, 0, RT_TABLE_MAIN, protocol, scope, RTN_UNICAST, 0
    ) + number(RTA_OIF, index)
    if to is not None and length:
        body += attribute(RTA_DST, to.network_address.packed)
    if gateway is not None:
        body += attribute(RTA_GATEWAY, gateway.packed)
    return Request(kind, flags, body)


def _family(to: Prefix | None, gateway: Address | None) -> int:
    version = (gateway or to or ipaddress.IPv4Address(0)).version
    return socket.AF_INET if version == 4 else socket.AF_INET6


def add_route(index: int, *, to: Prefix | None = None, gateway: Address | None = None) -> Request:
    """Add a route over a link; without `to` the default one."""
    flags = NLM_F_CREATE | NLM_F_EXCL
    return _route(RTM_NEWROUTE, flags, index, to, gateway, _family(to, gateway))


def delete_route(
    index: int, *, to: Prefix | None = None, gateway: Address | None = None
) -> Request:
    """Delete a route over a link; without `to` the default one."""
    return _route(RTM_DELROUTE, 0, index, to, gateway, _family(to, gateway))


def get_routes(family: int = 0) -> Request:
    """Ask for all routes of all tables (`Netlink.dump`)."""
    return Request(RTM_GETROUTE, 0, _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))


def read_route(message: Message) -> tuple[Prefix, int]:
    """Decode a route's destination and the index of its link (0: none or several)."""
    family, length = message.body[0], message.body[1]
    found = attribute_map(message.body, _ROUTE.size)
    empty = b"\0" * (4 if family == socket.AF_INET else 16)
    destination = ipaddress.ip_address(found.get(RTA_DST, empty))
    return ipaddress.ip_network((destination, length), strict=False), to_number(
        found.get(RTA_OIF, b"")
    )


def add_neighbour(index: int, address: Address, mac: str) -> Request:
    """Say for good which MAC address an address has."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = _NEIGHBOUR.pack(family, index, NUD_PERMANENT, 0, 0)
    body += attribute(NDA_DST, address.packed) + attribute(NDA_LLADDR, mac_bytes(mac))
    return Request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, body)


def delete_neighbour(index: int, address: Address) -> Request:
    """Forget an address's MAC address."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    body = _NEIGHBOUR.pack(family, index, 0, 0, 0)
    return Request(RTM_DELNEIGH, 0, body + attribute(NDA_DST, address.packed))
