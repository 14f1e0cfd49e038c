"""The daemon's nftables table, as text and as elements: pure, so that it can be read and tested.

One table holds all. Rules speak of bridges and subnets only; a container's published port is an
element of a map, so that starting a container changes no rule:

    publish4, publish6    protocol . host address . host port : container address . port
    any4, any6            protocol . host port : container address . port
    bridges               the bridges of this daemon

    prerouting            what is for a container carries the mark that `enclosure` asks for
    raw prerouting        nobody reaches 127/8, or a container's own address, from elsewhere
    nat prerouting,       what is addressed to this host and published goes to the container
        output
    nat postrouting       what leaves by another way takes the host's address
    filter forward        into a bridge: answers, published ports, the bridge itself; out: all,
                          save from an internal network
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.kernel.netlink.nftables import NFPROTO_INET, Element, parts
from boxship.network.enclosure import MARK
from boxship.network.ports import ANY, ANY_V6, PROTOCOLS
from boxship.network.record import Publication

FAMILY: Final = NFPROTO_INET
MAPS: Final = ("any4", "any6", "publish4", "publish6")
_PORT: Final = struct.Struct(">H")


@dataclass(frozen=True, slots=True)
class BridgeRules:
    """What the table must know of one bridge."""

    bridge: str
    subnets: tuple[str, ...]
    internal: bool = False
    masquerade: bool = True
    direct: bool = False  # containers' own addresses may be reached from outside
    source4: str = ""  # address to leave with instead of the outgoing link's
    source6: str = ""


def element(publication: Publication) -> Element:
    """Return the map element that publishes a port."""
    protocol = bytes([PROTOCOLS[publication.protocol]])
    host_port = _PORT.pack(publication.host_port)
    target = ipaddress.ip_address(publication.address)
    value = parts(target.packed, _PORT.pack(publication.port))
    if publication.host_address in (ANY, ANY_V6):
        return Element(f"any{target.version}", parts(protocol, host_port), value)
    host = ipaddress.ip_address(publication.host_address)
    return Element(f"publish{target.version}", parts(protocol, host.packed, host_port), value)


def ruleset(
    table: str,
    bridges: Sequence[BridgeRules],
    publications: Iterable[Publication] = (),
    *,
    no_router: bool = False,
) -> str:
    """Return the commands that put the whole table in place, whatever was there before.

    `no_router`: forwarding is on for our bridges only; the host must not begin to route between
    its other links.
    """
    lines = [
        f"add table inet {table}",
        f"delete table inet {table}",
        f"table inet {table} {{",
        *_maps(bridges, list(publications)),
        *_guard(bridges),
        *_in_force(bridges),
        *_translation(bridges),
        *_forwarding(bridges, no_router),
        "}",
    ]
    return "\n".join(lines) + "\n"


def removal(table: str) -> str:
    """Return the commands that take the table away, if it is there."""
    return f"add table inet {table}\ndelete table inet {table}\n"


def _family(subnet: str) -> str:
    return "ip6" if ":" in subnet else "ip"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _maps(bridges: Sequence[BridgeRules], publications: Sequence[Publication]) -> Iterator[str]:
    entries: dict[str, list[str]] = {name: [] for name in MAPS}
    for one in publications:
        host = "" if one.host_address in (ANY, ANY_V6) else f"{one.host_address} . "
        key = f"{one.protocol} . {host}{one.host_port}"
        entries[element(one).set].append(f"{key} : {one.address} . {one.port}")
    for name, address in (("4", "ipv4_addr"), ("6", "ipv6_addr")):
        for kind, key in (
            ("any", "inet_proto . inet_service"),
            ("publish", f"inet_proto . {address} . inet_service"),
        ):
            listed = entries[kind + name]
            filled = f" elements = {{ {', '.join(listed)} }};" if listed else ""
            yield f" map {kind}{name} {{ type {key} : {address} . inet_service;{filled} }}"
    for name, members in (
        ("bridges", [one.bridge for one in bridges]),
        ("internal", [one.bridge for one in bridges if one.internal]),
    ):
        filled = f" elements = {{ {_quoted(members)} }};" if members else ""
        yield f" set {name} {{ type ifname;{filled} }}"


def _guard(bridges: Sequence[BridgeRules]) -> Iterator[str]:
    yield " chain guard {"
    yield "  type filter hook prerouting priority raw; policy accept;"
    # route_localnet on the bridges would let their containers speak to the host's own loopback
    yield '  iifname != "lo" ip daddr 127.0.0.0/8 drop'
    for one in bridges:
        if one.direct:
            continue
        for subnet in one.subnets:
            yield (
                f'  iifname != {{ "lo", "{one.bridge}" }} {_family(subnet)} daddr {subnet} '
                "fib daddr type != local drop"
            )
    yield " }"


def _in_force(bridges: Sequence[BridgeRules]) -> Iterator[str]:
    yield " chain in_force {"
    # after address translation, before routing
    yield "  type filter hook prerouting priority -90; policy accept;"
    for one in bridges:
        for subnet in one.subnets:
            mark = f"meta mark set meta mark | {MARK:#x}"
            yield f"  {_family(subnet)} daddr {subnet} {mark}"
    yield " }"


def _translation(bridges: Sequence[BridgeRules]) -> Iterator[str]:
    for chain, hook in (("prerouting", "dstnat"), ("output", "-100")):
        yield f" chain nat_{chain} {{"
        yield f"  type nat hook {chain} priority {hook}; policy accept;"
        if chain == "output":  # the kernel lets nothing from ::1 leave by another link
            yield "  ip6 daddr ::1 return"
        yield "  fib daddr type local jump publish"
        yield " }"
    # a jump needs the chain to be known, not to stand before it
    yield " chain publish {"
    for family, name in (("ip", "4"), ("ip6", "6")):
        key = f"meta l4proto . {family} daddr . th dport"
        yield f"  dnat {family} to {key} map @publish{name}"
        protocol = "ipv4" if family == "ip" else "ipv6"
        yield (f"  meta nfproto {protocol} dnat {family} to meta l4proto . th dport map @any{name}")
    yield " }"
    yield " chain nat_postrouting {"
    yield "  type nat hook postrouting priority srcnat; policy accept;"
    yield "  oifname @bridges ip saddr 127.0.0.0/8 masquerade"
    for one in bridges:
        for subnet in one.subnets:
            family = _family(subnet)
            # a container that calls itself by the host's port must see another source
            yield (f"  ct status dnat {family} saddr {subnet} {family} daddr {subnet} masquerade")
            leaving = f'{family} saddr {subnet} oifname != "{one.bridge}"'
            source = one.source4 if family == "ip" else one.source6
            if source:
                yield f"  {leaving} snat {family} to {source}"
            elif one.masquerade and not one.internal:
                yield f"  {leaving} masquerade"
    yield " }"


def _forwarding(bridges: Sequence[BridgeRules], no_router: bool) -> Iterator[str]:
    yield " chain forward {"
    yield "  type filter hook forward priority filter; policy accept;"
    yield "  oifname @bridges jump inward"
    yield "  iifname @internal jump from_internal"
    if no_router:  # bridges of other engines need forwarding too, and see to their own
        yield '  meta iifkind != "bridge" meta oifkind != "bridge" ct state new drop'
    yield " }"
    yield " chain inward {"
    for one in bridges:
        yield f'  iifname "{one.bridge}" oifname "{one.bridge}" accept'
    yield "  oifname @internal drop"
    yield "  ct state established,related accept"
    yield "  ct status dnat accept"
    for one in bridges:
        if one.direct:
            yield f'  iifname != @bridges oifname "{one.bridge}" accept'
    yield "  drop"
    yield " }"
    yield " chain from_internal {"
    for one in bridges:
        if one.internal:
            yield f'  iifname "{one.bridge}" oifname "{one.bridge}" accept'
    yield "  drop"
    yield " }"
