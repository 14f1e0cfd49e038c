"""Address pools: no address twice, every address once."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.model.ids import NetworkId
from boxship.network.config import DEFAULT_POOLS, Pool
from boxship.network.errors import (
    AddressInUse,
    AddressOutside,
    NoAddressLeft,
    PoolOverlap,
    PoolsExhausted,
)
from boxship.network.pools import (
    AddressPool,
    NetworkAddresses,
    choose,
    mac_of,
    refuse_overlap,
    unique_local_pool,
)
from boxship.network.record import Network, Subnet

network = ipaddress.ip_network
address = ipaddress.ip_address


def test_ranges_are_chosen_as_docker_does():
    assert choose(DEFAULT_POOLS, 4, []) == network("172.17.0.0/16")
    taken = [network(f"172.{second}.0.0/16") for second in range(17, 32)]
    assert choose(DEFAULT_POOLS, 4, taken) == network("192.168.0.0/20")
    taken.append(network("192.168.0.0/17"))
    assert choose(DEFAULT_POOLS, 4, taken) == network("192.168.128.0/20")
    taken.append(network("192.168.0.0/16"))
    with pytest.raises(PoolsExhausted, match="all predefined address pools"):
        choose(DEFAULT_POOLS, 4, taken)
    assert choose([Pool("10.9.0.0/16", 24)], 4, [network("10.9.0.128/25")]) == network(
        "10.9.1.0/24"
    )


def test_a_range_that_overlaps_is_refused():
    refuse_overlap(network("10.0.0.0/24"), [network("10.0.1.0/24"), network("fd00::/8")])
    with pytest.raises(PoolOverlap):
        refuse_overlap(network("10.0.0.0/16"), [network("10.0.1.0/24")])


def test_every_host_has_ipv6_ranges_of_its_own():
    one, two = unique_local_pool(b"host one"), unique_local_pool(b"host two")
    assert one != two
    assert network(one.base).subnet_of(network("fd00::/8"))


def test_addresses_are_given_out_lowest_first_and_each_once():
    pool = AddressPool(Subnet("10.0.0.0/29", "10.0.0.1", auxiliary={"printer": "10.0.0.3"}))
    given_out = [str(pool.take()) for _ in range(4)]
    assert given_out == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
    with pytest.raises(NoAddressLeft):
        pool.take()
    pool.give_back(address("10.0.0.4"))
    pool.give_back(address("10.0.0.4"))
    assert str(pool.take()) == "10.0.0.4"


def test_an_address_asked_for_is_had_once_and_must_belong():
    pool = AddressPool(Subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25"))
    assert str(pool.take_this(address("10.0.0.5"))) == "10.0.0.5"
    for taken in ("10.0.0.5", "10.0.0.1", "10.0.0.0", "10.0.0.255"):
        with pytest.raises(AddressInUse):
            pool.take_this(address(taken))
    for outside in ("10.0.1.5", "fd00::1"):
        with pytest.raises(AddressOutside, match="no configured subnet contains IP address"):
            pool.take_this(address(outside))
    assert str(pool.take()) == "10.0.0.128"


def test_a_full_network_says_which_it_is():
    made = Network(
        NetworkId("f" * 64), "tiny", "bridge", "", subnets=(Subnet("10.0.0.0/30", "10.0.0.1"),)
    )
    pool = NetworkAddresses(made)
    pool.take(4)
    with pytest.raises(NoAddressLeft) as refused:
        pool.take(4)
    assert str(refused.value) == (
        f"no available IPv4 addresses on this network's address pools: tiny ({'f' * 64})"
    )


@given(st.lists(st.one_of(st.none(), st.integers(0, 15)), max_size=60))
def test_whatever_is_taken_and_given_back_no_address_is_had_twice(steps):
    pool = AddressPool(Subnet("10.0.0.0/28", "10.0.0.1"))
    held: set[str] = set()
    for step in steps:
        if step is None:
            try:
                one = str(pool.take())
            except NoAddressLeft:
                assert len(held) == 13
                continue
            assert one not in held
            held.add(one)
        else:
            one = f"10.0.0.{step}"
            held.discard(one)
            pool.give_back(address(one))
    assert pool.used == len(held)


def test_a_mac_address_goes_with_its_address():
    assert mac_of(address("172.17.0.2")) == "02:42:ac:11:00:02"
