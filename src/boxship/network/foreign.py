"""Other programs' firewalls: a FORWARD chain that drops by default, and our answer in it.

An accept in our own table does not override another table's drop, so where iptables' FORWARD
chain (a foreign dockerd's, ufw's) has the policy drop, rules for our bridges go in there:
into DOCKER-USER where that exists, since its owner leaves that chain alone. They carry our mark
as comment and are found again by it. They let all pass to and from our bridges, since what may
enter one is decided in our own table all the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

IPTABLES_TABLE: Final = "filter"
IPTABLES_CHAIN: Final = "FORWARD"
USER_CHAIN: Final = "DOCKER-USER"


class Nft(Protocol):
    """Runs nft commands; `nft_json` returns the listed objects."""

    def run(self, commands: str) -> None:
        """Carry out commands as one transaction."""

    def query(self, command: str) -> list[Mapping[str, Any]]:
        """Return what a list command lists."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where our answer goes."""

    family: str  # ip or ip6
    chain: str


def dropping(chains: Iterable[Mapping[str, Any]], families: Sequence[str]) -> list[Place]:
    """Pick, of all chains listed, the places where an answer is needed."""
    listed = [chain for chain in chains if chain.get("table") == IPTABLES_TABLE]
    places = []
    for family in families:
        mine = {chain["name"]: chain for chain in listed if chain.get("family") == family}
        if mine.get(IPTABLES_CHAIN, {}).get("policy") == "drop":
            places.append(Place(family, USER_CHAIN if USER_CHAIN in mine else IPTABLES_CHAIN))
    return places


def unanswerable(chains: Iterable[Mapping[str, Any]], own_table: str) -> list[str]:
    """Name the chains that drop what is forwarded and are nobody's we know how to answer."""
    return [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in chains
        if chain.get("hook") == "forward"
        and chain.get("policy") == "drop"
        and chain.get("table") not in (own_table, IPTABLES_TABLE)
    ]


def answer(place: Place, bridges: Iterable[str], mark: str) -> Iterator[str]:
    """Return the rules for a place, as commands; the last inserted stands first."""
    for bridge in bridges:
        # iptables calls a table broken that has expressions it cannot show, as "ct" is
        for match in (f'oifname "{bridge}"', f'iifname "{bridge}"'):
            yield (
                f"insert rule {place.family} {IPTABLES_TABLE} {place.chain} "
                f'{match} counter accept comment "{mark}"\n'
            )


class ForeignFirewalls:
    """Our rules in other programs' chains."""

    def __init__(self, nft: Nft, mark: str, own_table: str) -> None:
        self._nft = nft
        self._mark = mark
        self._own_table = own_table
        self._answered: dict[Place, frozenset[str]] = {}
        self.warnings: list[str] = []

    def settle(self, bridges: Iterable[str], families: Sequence[str] = ("ip",)) -> None:
        """Make the answers what they should be now, in every chain that needs one."""
        chains = [entry["chain"] for entry in self._nft.query("list chains") if "chain" in entry]
        wanted = frozenset(bridges)
        needed = dropping(chains, families) if wanted else []
        self.warnings = [
            f"packets to and from containers may be dropped by the nftables chain {name}"
            for name in unanswerable(chains, self._own_table)
        ]
        there = [
            Place(str(chain["family"]), str(chain["name"]))
            for chain in chains
            if chain.get("table") == IPTABLES_TABLE
            and chain.get("family") in ("ip", "ip6")
            and chain["name"] in (IPTABLES_CHAIN, USER_CHAIN)
        ]
        for place in there:
            found = self._found(place)
            rules = "".join(answer(place, sorted(wanted), self._mark)) if place in needed else ""
            expected = 2 * len(wanted) if rules else 0
            same = self._answered.get(place, frozenset()) == (wanted if rules else frozenset())
            if len(found) == expected and (same or not expected):
                continue
            deletions = "".join(
                f"delete rule {place.family} {IPTABLES_TABLE} {place.chain} handle {handle}\n"
                for handle in found
            )
            self._nft.run(deletions + rules)
            self._answered[place] = wanted if rules else frozenset()

    def _found(self, place: Place) -> list[int]:
        listed = self._nft.query(f"list chain {place.family} {IPTABLES_TABLE} {place.chain}")
        return [
            int(entry["rule"]["handle"])
            for entry in listed
            if "rule" in entry and entry["rule"].get("comment") == self._mark
        ]


def read_listing(text: str) -> list[Mapping[str, Any]]:
    """Decode what nft prints in JSON."""
    if not text:
        return []
    listed: list[Mapping[str, Any]] = json.loads(text)["nftables"]
    return listed
