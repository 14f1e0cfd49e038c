"""The daemon's table in the kernel: kept as it should be, element by element, and put back.

What should be there is known here; a flush by somebody else is answered by putting back the whole
table in one transaction (`reapply`), so that at no instant half a rule set is in force.
"""

from __future__ import annotations

import enum
import errno
import os
import struct
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import nftables

from boxship.errors import BoxshipError
from boxship.kernel.netlink import nftables as nfnetlink
from boxship.kernel.netlink.codec import Message, Request, attribute_map
from boxship.kernel.netlink.nftables import (
    NFNL_SUBSYS_NFTABLES,
    NFNLGRP_NFTABLES,
    NFT_MSG_DELCHAIN,
    NFT_MSG_DELRULE,
    NFT_MSG_DELSET,
    NFT_MSG_DELSETELEM,
    NFT_MSG_DELTABLE,
    NFT_MSG_NEWGEN,
)
from boxship.kernel.netlink.sockets import NETLINK_NETFILTER, Netlink, NetlinkError
from boxship.network import names, rules
from boxship.network.foreign import ForeignFirewalls, read_listing
from boxship.network.record import Publication
from boxship.network.rules import FAMILY, BridgeRules

NFT_MSG_GETGEN: Final = 16
NFTA_GEN_ID: Final = 1
_REMOVALS: Final = frozenset(
    {NFT_MSG_DELCHAIN, NFT_MSG_DELRULE, NFT_MSG_DELSET, NFT_MSG_DELSETELEM, NFT_MSG_DELTABLE}
)
_REPLACEABLE: Final = (errno.ENOENT, errno.EEXIST)
_HEAD: Final = 4  # bytes before the attributes of an nfnetlink message


class FirewallFailed(BoxshipError):
    """The kernel did not take a rule set."""


class Nft:
    """libnftables in this process."""

    def __init__(self) -> None:
        self._context = nftables.Nftables()
        self._context.set_handle_output(True)

    def run(self, commands: str) -> None:
        """Carry out commands as one transaction."""
        self._context.set_json_output(False)
        code, _, told = self._context.cmd(commands)
        if code:
            raise FirewallFailed(f"the firewall rules were refused: {told.strip()}")

    def query(self, command: str) -> list[Mapping[str, Any]]:
        """Return what a list command lists."""
        self._context.set_json_output(True)
        code, listed, told = self._context.cmd(command)
        if code:
            raise FirewallFailed(f"the firewall rules cannot be listed: {told.strip()}")
        return read_listing(listed)


class Firewall:
    """What the table should hold, and the table."""

    def __init__(self, owner: str) -> None:
        self.table = names.table(owner)
        self._turn = threading.RLock()
        self._nft: Nft | None = None
        self._netlink = Netlink(NETLINK_NETFILTER)
        self._mark = names.mark(owner)
        self._foreign: ForeignFirewalls | None = None
        self._bridges: dict[str, BridgeRules] = {}
        self._published: set[Publication] = set()
        self._in_place = False
        self._no_router = False
        self._own_generations: set[int] = set()

    @property
    def warnings(self) -> Sequence[str]:
        """What stands in the way of the rules, for people."""
        return self._foreign.warnings if self._foreign else ()

    def forbid_routing(self, wanted: bool) -> None:
        """Let nothing be forwarded between other links, from the next change on."""
        with self._turn:
            if wanted != self._no_router:
                self._no_router = wanted
                self._in_place = False

    def set_bridge(self, wanted: BridgeRules) -> None:
        """Cover a bridge; costs a few milliseconds, and nothing where it is covered already."""
        with self._turn:
            if self._in_place and self._bridges.get(wanted.bridge) == wanted:
                return
            self._bridges[wanted.bridge] = wanted
            self.reapply()

    def drop_bridge(self, bridge: str) -> None:
        """Stop covering a bridge; with the last one the table goes."""
        with self._turn:
            if self._bridges.pop(bridge, None) is not None:
                self.reapply()

    def publish(
        self, add: Iterable[Publication] = (), *, remove: Iterable[Publication] = ()
    ) -> None:
        """Change published ports in one transaction."""
        with self._turn:
            gone = [one for one in remove if one in self._published]
            new = [one for one in add if one not in self._published]
            if not gone and not new:
                return
            self._published.difference_update(gone)
            self._published.update(new)
            try:
                nfnetlink.change_elements(
                    self._netlink,
                    FAMILY,
                    self.table,
                    add=[rules.element(one) for one in new],
                    delete=[rules.element(one) for one in gone],
                )
            except NetlinkError as refused:
                if refused.errno not in _REPLACEABLE:
                    self._published.difference_update(new)
                    raise
                self.reapply()  # somebody has flushed or changed the table

    def restore(self, bridges: Iterable[BridgeRules], published: Iterable[Publication]) -> None:
        """Put in place, after a start of the daemon, what should be there, and only that."""
        with self._turn:
            self._bridges = {one.bridge: one for one in bridges}
            self._published = set(published)
            self.reapply()

    def strangers(self, published: Iterable[Publication]) -> list[str]:
        """Return the elements of the kernel's maps that publish none of these."""
        with self._turn:
            if not self._is_there():
                return []
            known = {(one.set, one.key) for one in map(rules.element, published)}
            listed = [
                element
                for name in rules.MAPS
                for element in nfnetlink.elements(self._netlink, FAMILY, self.table, name)
            ]
        return [f"{one.set} {one.key.hex()}" for one in listed if (one.set, one.key) not in known]

    def reapply(self) -> None:
        """Put the whole table in place, or take it away where there is nothing to cover."""
        with self._turn:
            if self._bridges:
                covered = [self._bridges[name] for name in sorted(self._bridges)]
                table = rules.ruleset(
                    self.table, covered, self._published, no_router=self._no_router
                )
                self._commit(table)
            elif self._is_there():
                self._commit(rules.removal(self.table))
            self._in_place = bool(self._bridges)
            self._answer_foreign()

    def remove(self) -> None:
        """Take everything away."""
        with self._turn:
            self._bridges.clear()
            self._published.clear()
            self.reapply()

    def close(self) -> None:
        """Let go of the kernel; what is in place stays."""
        self._netlink.close()

    def heed(self, news: News) -> None:
        """Do what the news call for."""
        with self._turn:
            if news is News.HARMED:
                self.reapply()
            elif news is News.ELSEWHERE:
                self._answer_foreign()

    def watcher(self) -> Watcher:
        """Return a listener for changes that others make."""
        return Watcher(self)

    def is_own_generation(self, number: int) -> bool:
        """Tell whether a change of the rules was made here; waits for one in the making."""
        with self._turn:
            if number not in self._own_generations:
                return False
            self._own_generations = {one for one in self._own_generations if one > number}
            return True

    @property
    def port(self) -> int:
        """The netlink address that element changes come from."""
        return self._netlink.port

    def _libnftables(self) -> Nft:
        if self._nft is None:  # it costs 5 ms and is not needed without bridges
            self._nft = Nft()
        return self._nft

    def _commit(self, commands: str) -> None:
        self._libnftables().run(commands)
        self._own_generations.add(self._generation())

    def _generation(self) -> int:
        request = Request(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, 0, b"\0" * _HEAD)
        return generation(self._netlink.get(request))

    def _is_there(self) -> bool:
        return (FAMILY, self.table) in nfnetlink.tables(self._netlink)

    def _answer_foreign(self) -> None:
        if self._foreign is None:
            if not self._bridges:
                return
            self._foreign = ForeignFirewalls(self._libnftables(), self._mark, self.table)
        covered = self._bridges.values()
        sixes = any(":" in subnet for one in covered for subnet in one.subnets)
        before = self._generation()
        self._foreign.settle(self._bridges, ("ip", "ip6") if sixes else ("ip",))
        after = self._generation()
        self._own_generations.update(range(before + 1, after + 1))


def generation(message: Message) -> int:
    """Read the number that every change of the rules raises."""
    found: int = struct.unpack(">I", attribute_map(message.body, _HEAD)[NFTA_GEN_ID])[0]
    return found


class News(enum.IntEnum):
    """What others did to the host's rules."""

    NOTHING = 0
    ELSEWHERE = 1  # to their own, where our answer may be needed or may have gone
    HARMED = 2  # to ours


class Watcher:
    """Hears of every change of the host's rules and tells which of them concern us."""

    def __init__(self, firewall: Firewall) -> None:
        self._firewall = firewall
        self._netlink = Netlink(NETLINK_NETFILTER, groups=(NFNLGRP_NFTABLES,))
        os.set_blocking(self._netlink.fileno(), False)
        self._told = News.NOTHING  # in the transaction that is being told

    def fileno(self) -> int:
        """Readable when there is news."""
        return self._netlink.fileno()

    def close(self) -> None:
        """Stop listening."""
        self._netlink.close()

    def news(self) -> News:
        """Take what was told; return what of it concerns us most."""
        worst = News.NOTHING
        while True:
            try:
                told = self._netlink.receive()
            except BlockingIOError:
                return worst
            except OSError as lost:
                if lost.errno != errno.ENOBUFS:
                    raise
                worst = News.HARMED  # there was more than could be kept: assume it
                continue
            for message in told:
                worst = max(worst, self._take(message))

    def _take(self, message: Message) -> News:
        if message.type == NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN:
            told, self._told = self._told, News.NOTHING
            if told is News.NOTHING or self._firewall.is_own_generation(generation(message)):
                return News.NOTHING
            return told
        change = nfnetlink.read_change(message)
        if change is None or change.port == self._firewall.port:
            return News.NOTHING
        if change.family == FAMILY and change.table == self._firewall.table:
            if change.kind in _REMOVALS:
                self._told = News.HARMED
        elif not change.table.startswith(names.table("")):  # other daemons' tables let us be
            self._told = max(self._told, News.ELSEWHERE)
        return News.NOTHING
