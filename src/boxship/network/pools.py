"""Address pools: ranges for networks, and addresses within them."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

from boxship.network.config import Pool
from boxship.network.errors import (
    AddressInUse,
    AddressOutside,
    NoAddressLeft,
    PoolOverlap,
    PoolsExhausted,
)
from boxship.network.record import Address, Network, Prefix, Subnet


def overlaps(prefix: Prefix, others: Iterable[Prefix]) -> bool:
    """Tell whether any of `others` shares an address with `prefix`."""
    return any(prefix.version == one.version and prefix.overlaps(one) for one in others)


def choose(pools: Sequence[Pool], version: int, taken: Sequence[Prefix]) -> Prefix:
    """Return the first range of the pools that overlaps nothing in `taken`."""
    for pool in pools:
        base = ipaddress.ip_network(pool.base)
        if base.version != version:
            continue
        inside = [one for one in taken if one.version == version and base.overlaps(one)]
        # every taken range spoils at most the candidates it overlaps, so this ends early
        for candidate in base.subnets(new_prefix=max(pool.size, base.prefixlen)):
            if not overlaps(candidate, inside):
                return candidate
    raise PoolsExhausted


def unique_local_pool(seed: bytes) -> Pool:
    """Return a /48 for IPv6 networks of a host, always the same for the same `seed`."""
    identifier = int.from_bytes(hashlib.sha256(seed).digest()[:5], "big")
    base = ipaddress.IPv6Address((0xFD << 120) | (identifier << 80))
    return Pool(f"{base}/48", 64)


def refuse_overlap(prefix: Prefix, taken: Iterable[Prefix]) -> None:
    """Raise PoolOverlap where a range asked for by a user is taken."""
    if overlaps(prefix, taken):
        raise PoolOverlap


class AddressPool:
    """The addresses of one subnet: who has which is not its matter, only that one is had."""

    def __init__(self, subnet: Subnet) -> None:
        self.prefix = subnet.prefix
        whole = subnet.prefix
        part = ipaddress.ip_network(subnet.range) if subnet.range else whole
        self._first = int(part.network_address)
        self._last = int(part.broadcast_address)
        self._kind = type(whole.network_address)
        self._reserved = {int(whole.network_address)}
        if whole.version == 4 and whole.prefixlen < 31:
            self._reserved.add(int(whole.broadcast_address))
        fixed = [subnet.gateway, *subnet.auxiliary.values()]
        self._reserved.update(int(ipaddress.ip_address(one)) for one in fixed if one)
        self._used: set[int] = set()
        self._lowest = self._first  # every address below it is used

    @property
    def used(self) -> int:
        """How many addresses containers have."""
        return len(self._used)

    @property
    def in_use(self) -> int:
        """How many addresses are not to be had any more, the fixed ones included."""
        return len(self._used | self._reserved)

    @property
    def free(self) -> int:
        """How many addresses are left to be given out without being asked for."""
        inside = sum(self._first <= one <= self._last for one in self._used | self._reserved)
        return max(0, self._last - self._first + 1 - inside)

    def take(self) -> Address:
        """Return the lowest free address."""
        at = self._lowest
        while at in self._used or at in self._reserved:
            at += 1
        if at > self._last:
            raise NoAddressLeft(f"no available addresses on this network's pool {self.prefix}")
        self._lowest = at + 1
        self._used.add(at)
        return self._kind(at)

    def take_this(self, address: Address) -> Address:
        """Take the one asked for."""
        if address.version != self.prefix.version or address not in self.prefix:
            raise AddressOutside(str(address))
        at = int(address)
        if at in self._used or at in self._reserved:
            raise AddressInUse
        self._used.add(at)
        return address

    def give_back(self, address: Address) -> None:
        """Make an address free again; one that is free already stays so."""
        self._used.discard(int(address))
        if self._first <= int(address) < self._lowest:
            self._lowest = int(address)


class NetworkAddresses:
    """The pools of one network, by address family."""

    def __init__(self, network: Network) -> None:
        self.pools = [AddressPool(subnet) for subnet in network.subnets]
        self._network = network

    def take(self, version: int, asked: str = "") -> Address:
        """Return an address of a family: the one asked for, or any."""
        mine = [pool for pool in self.pools if pool.prefix.version == version]
        if asked:
            address = ipaddress.ip_address(asked)
            pool = next((one for one in mine if address in one.prefix), None)
            if pool is None:
                raise AddressOutside(asked)
            return pool.take_this(address)
        for pool in mine:
            try:
                return pool.take()
            except NoAddressLeft:
                continue
        family = f"IPv{version}"
        raise NoAddressLeft(
            f"no available {family} addresses on this network's address pools: "
            f"{self._network.name} ({self._network.id})"
        )

    def give_back(self, text: str) -> None:
        """Make an address free again."""
        address = ipaddress.ip_address(text)
        for pool in self.pools:
            if address.version == pool.prefix.version and address in pool.prefix:
                pool.give_back(address)

    def prefix_length(self, text: str) -> int:
        """Return how long the prefix is that an address of this network has."""
        address = ipaddress.ip_address(text)
        lengths: Iterator[int] = (
            pool.prefix.prefixlen
            for pool in self.pools
            if address.version == pool.prefix.version and address in pool.prefix
        )
        return next(lengths)


def mac_of(address: Address) -> str:
    """Return the MAC address that goes with an IPv4 address: locally administered, stable."""
    return "02:42:" + address.packed[-4:].hex(":")
