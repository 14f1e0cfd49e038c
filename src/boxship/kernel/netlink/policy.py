"""rtnetlink policy routing: rules that choose a table, and routes that lead nowhere."""

from __future__ import annotations

import ipaddress
import socket
import struct
from dataclasses import dataclass
from typing import Final

from boxship.kernel.netlink.codec import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    Request,
    attribute,
    attribute_map,
    number,
    text,
    to_number,
)
from boxship.kernel.netlink.route import (
    RTA_DST,
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    Prefix,
)

RTM_NEWRULE: Final = 32
RTM_DELRULE: Final = 33
RTM_GETRULE: Final = 34

FRA_IIFNAME: Final = 3
FRA_GOTO: Final = 4
FRA_PRIORITY: Final = 6
FRA_FWMARK: Final = 10
FRA_TABLE: Final = 15
FRA_FWMASK: Final = 16
FR_ACT_TO_TBL: Final = 1
FR_ACT_GOTO: Final = 2
FR_ACT_NOP: Final = 3

RTA_PRIORITY: Final = 6
RTA_TABLE: Final = 15
RTN_BLACKHOLE: Final = 6
RTPROT_STATIC: Final = 4

_HEAD: Final = struct.Struct("BBBBBBBBI")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what matches goes to another rule, to a table, or on to the next rule."""

    priority: int
    goto: int = 0
    table: int = 0
    incoming: str = ""  # "lo" stands for packets of the host's own
    mark: int = 0  # a bit or several, all of which must be set


@dataclass(frozen=True, slots=True)
class Blackhole:
    """A route that drops without a word."""

    prefix: Prefix
    table: int
    metric: int


def family_of(version: int) -> int:
    """Return the socket family of 4 or 6."""
    return socket.AF_INET if version == 4 else socket.AF_INET6


def _rule(kind: int, flags: int, version: int, rule: Rule) -> Request:
    action = FR_ACT_TO_TBL if rule.table else FR_ACT_GOTO if rule.goto else FR_ACT_NOP
    body = _HEAD.pack(family_of(version), 0, 0, 0, 0, 0, 0, action, 0)
    body += number(FRA_PRIORITY, rule.priority)
    if rule.goto:
        body += number(FRA_GOTO, rule.goto)
    if rule.table:
        body += number(FRA_TABLE, rule.table)
    if rule.incoming:
        body += text(FRA_IIFNAME, rule.incoming)
    if rule.mark:
        body += number(FRA_FWMARK, rule.mark) + number(FRA_FWMASK, rule.mark)
    return Request(kind, flags, body)


def add_rule(version: int, rule: Rule) -> Request:
    """Add a rule; EEXIST when it is there."""
    return _rule(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, version, rule)


def delete_rule(version: int, rule: Rule) -> Request:
    """Delete a rule; ENOENT when it is not there."""
    return _rule(RTM_DELRULE, 0, version, rule)


def _blackhole(kind: int, flags: int, hole: Blackhole) -> Request:
    length = hole.prefix.prefixlen
    family = family_of(hole.prefix.version)
    body = _HEAD.pack(family, length, 0, 0, 0, RTPROT_STATIC, 0, RTN_BLACKHOLE, 0)
    body += attribute(RTA_DST, hole.prefix.network_address.packed)
    body += number(RTA_PRIORITY, hole.metric) + number(RTA_TABLE, hole.table)
    return Request(kind, flags, body)


def add_blackhole(hole: Blackhole) -> Request:
    """Add a route that drops; EEXIST when it is there."""
    return _blackhole(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, hole)


def delete_blackhole(hole: Blackhole) -> Request:
    """Delete a route that drops; ESRCH when it is not there."""
    return _blackhole(RTM_DELROUTE, 0, hole)


def get_blackholes(version: int) -> Request:
    """Ask for routes (`Netlink.dump`, then `read_blackhole`)."""
    return Request(RTM_GETROUTE, 0, _HEAD.pack(family_of(version), 0, 0, 0, 0, 0, 0, 0, 0))


def read_blackhole(message: Message) -> Blackhole | None:
    """Decode a route; None when it is one that leads somewhere."""
    if message.body[7] != RTN_BLACKHOLE:
        return None
    found = attribute_map(message.body, _HEAD.size)
    if RTA_DST not in found:
        return None
    prefix = ipaddress.ip_network((ipaddress.ip_address(found[RTA_DST]), message.body[1]))
    return Blackhole(
        prefix,
        to_number(found.get(RTA_TABLE, b"")),
        to_number(found.get(RTA_PRIORITY, b"")),
    )
