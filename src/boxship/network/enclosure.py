"""Closed while the rules are gone: containers' ranges lead nowhere unless our table says so.

A flush of nftables takes every filter away, and with forwarding on, neighbours and other bridges
could then reach containers directly until the rules are back. Policy routing is not flushed with
them, so it keeps the door:

    1: from the host itself            -> 4
    2: carries the mark                -> 4
    3: look into our routing table     which has a blackhole for each range
    4: (go on as ever)

The mark is set, in prerouting, by our nftables table (`rules`) on all that is for our ranges:
it says that the table is in force, which then decides. Several daemons share the routing table;
a blackhole's metric tells whose it is.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterable
from typing import Final

from boxship.kernel.netlink.codec import Request
from boxship.kernel.netlink.policy import (
    Blackhole,
    Rule,
    add_blackhole,
    add_rule,
    delete_blackhole,
    delete_rule,
    get_blackholes,
    read_blackhole,
)
from boxship.kernel.netlink.route import Prefix
from boxship.kernel.netlink.sockets import Netlink, NetlinkError
from boxship.network import names

TABLE: Final = 25208
MARK: Final = 0x02000000
RULES: Final = (
    # the rule that others go to must be there first
    Rule(4),
    Rule(1, goto=4, incoming="lo"),
    Rule(2, goto=4, mark=MARK),
    Rule(3, table=TABLE),
)
_ALREADY: Final = (errno.EEXIST, errno.ENOENT, errno.ESRCH)


class Enclosure:
    """The blackholes of one daemon."""

    def __init__(self, owner: str, netlink: Netlink) -> None:
        self._metric = names.number(owner)
        self._netlink = netlink
        self._turn = threading.Lock()

    def close_off(self, ranges: Iterable[Prefix]) -> None:
        """Let ranges lead nowhere without the mark."""
        with self._turn:
            for prefix in ranges:
                self._try(add_blackhole(self._hole(prefix)))
                for rule in RULES:
                    self._try(add_rule(prefix.version, rule))

    def open_up(self, ranges: Iterable[Prefix]) -> None:
        """Treat ranges as any others again; the last one takes the rules with it."""
        with self._turn:
            for prefix in ranges:
                self._try(delete_blackhole(self._hole(prefix)))
                if not self._listed(prefix.version):
                    for rule in reversed(RULES):
                        self._try(delete_rule(prefix.version, rule))

    def keep_only(self, ranges: Iterable[Prefix]) -> None:
        """After a start of the daemon: these and no others of ours."""
        kept = set(ranges)
        mine = {
            hole.prefix
            for version in (4, 6)
            for hole in self._listed(version)
            if hole.metric == self._metric
        }
        self.open_up(mine - kept)
        self.close_off(kept)

    def _hole(self, prefix: Prefix) -> Blackhole:
        return Blackhole(prefix, TABLE, self._metric)

    def _listed(self, version: int) -> list[Blackhole]:
        found = map(read_blackhole, self._netlink.dump(get_blackholes(version)))
        return [hole for hole in found if hole is not None and hole.table == TABLE]

    def _try(self, request: Request) -> None:
        try:
            self._netlink.send([request])
        except NetlinkError as refused:
            if refused.errno not in _ALREADY:
                raise
