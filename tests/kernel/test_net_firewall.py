"""The engine's rules beside other programs', and after somebody has thrown them away."""

from __future__ import annotations

import time

import pytest
from tests.support.engine import PATIENCE
from tests.support.netns import Place, ask, in_new_host, listen, places, run
from tests.support.networking import BRIDGE, LAN_HOST, engine_host, neighbour

pytestmark = pytest.mark.root


def until(seconds: float, idle, holds) -> float:
    """Return how long it took until something held."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if holds():
            return time.monotonic() - began
        idle(0.02)
    raise AssertionError(f"not within {seconds} s")


@pytest.mark.parametrize("flush", ["flush ruleset", f"delete table inet boxship_{BRIDGE}",
                                   f"flush chain inet boxship_{BRIDGE} publish",
                                   f"flush map inet boxship_{BRIDGE} any4"])  # fmt: skip
def test_rules_thrown_away_come_back(flush):
    """SEC-71: within 2 s all is as before, without anybody asking the engine."""

    def story():
        with engine_host() as host, neighbour() as lan:
            host.start("web", 80, publish={"80/tcp": [("", 8080)], "80/udp": [("127.0.0.1", 53)]})
            host.watch()
            before = run(f"nft list table inet boxship_{BRIDGE}")
            run(f"nft {flush}")
            took = until(2 * PATIENCE, host.idle, lambda: run("nft list ruleset") == before)
            host.idle(0.1)  # what was told of our own changes must not set us going again
            run("nft add table ip other && nft delete table ip other")
            host.idle(0.1)
            return lan.do(ask, LAN_HOST, 8080), took, run("nft list ruleset") == before

    answer, took, stable = in_new_host(story)
    assert answer.startswith("web saw")
    assert took < 2 * PATIENCE
    assert stable


def test_while_the_rules_are_gone_nothing_is_open_that_was_closed():
    """SEC-71, SEC-72: no watcher runs here, so the gap lasts as long as we look."""

    def story():
        with engine_host() as host, neighbour() as lan:
            web = host.start("web", 80, publish={"81/tcp": [("127.0.0.1", 8081)]})
            host.create_network("far")
            away = host.start("away", 80, mode="far")
            lan.do(run, f"ip route add 172.16.0.0/12 via {LAN_HOST}")
            run("nft flush ruleset")
            return (
                lan.do(ask, web.address, 80),
                lan.do(ask, LAN_HOST, 8081),
                away.place.do(ask, web.address, 80),
                web.place.do(ask, away.address, 80),
                ask(web.address, 80),
            )

    *closed, host = in_new_host(story)
    assert not any("saw" in answer for answer in closed), closed
    assert host == "web saw 172.17.0.1"


@pytest.mark.parametrize("chain", ["FORWARD", "DOCKER-USER"])
def test_a_forward_chain_that_drops_is_answered_and_the_answer_taken_back(chain):
    def story():
        foreign = "iptables-nft -P FORWARD DROP"
        if chain == "DOCKER-USER":
            foreign += " && iptables-nft -N DOCKER-USER && iptables-nft -A DOCKER-USER -j RETURN"
            foreign += " && iptables-nft -I FORWARD -j DOCKER-USER"
        run(foreign)
        before = run("iptables-nft -S")
        with engine_host() as host, neighbour() as lan:
            web = host.start("web", 80, publish={"80/tcp": [("", 8080)]})
            host.watch()
            answers = [lan.do(ask, LAN_HOST, 8080), web.place.do(ask, "192.168.77.2", 9)]
            listed = run("iptables-nft -S")
            # its owner starts again: the policy goes and comes back, and so must the answer
            run(f"nft delete table ip filter && {foreign}")
            again = until(2 * PATIENCE, host.idle, lambda: "saw" in lan.do(ask, LAN_HOST, 8080))
            host.stop("web")
            answers.append(again < 2 * PATIENCE)
        return answers, listed, before, run("iptables-nft -S")

    answers, listed, before, after = in_new_host(story)
    assert answers == ["web saw 192.168.77.2", "ConnectionRefusedError", True]
    assert f"-A {chain} -i {BRIDGE}" in listed
    assert after == before


@pytest.mark.parametrize("before", ["0", "1"])
def test_turning_forwarding_on_does_not_make_the_host_a_router(before):
    """Where it was on already, somebody wanted a router, and has one still."""

    def story():
        run(f"sysctl -qw net.ipv4.ip_forward={before}")
        other = Place()
        run(f"ip link add lan1 type veth peer name eth0 netns {other.pid}")
        run("ip addr add 192.168.78.1/24 dev lan1 && ip link set lan1 up")
        other.do(run, "ip addr add 192.168.78.2/24 dev eth0 && ip link set eth0 up")
        other.do(run, "ip route add default via 192.168.78.1")
        with engine_host() as host, neighbour() as lan, places(other):
            other.do(listen, 80, "other")
            lan.do(run, f"ip route add default via {LAN_HOST}")
            web = host.start("web", 80, publish={"80/tcp": [("", 8080)]})
            seen = [lan.do(ask, "192.168.78.2", 80)]
            host.crash()
            host.begin()
            seen.append(lan.do(ask, "192.168.78.2", 80))
            return seen, lan.do(ask, LAN_HOST, 8080), web.place.do(ask, "192.168.78.2", 80)

    seen, published, out = in_new_host(story)
    expected = "TimeoutError" if before == "0" else "other saw 192.168.77.2"
    assert seen == [expected, expected]
    assert published.startswith("web saw")
    assert out.startswith("other saw")


def test_two_engines_on_one_host_let_each_other_be():
    def story():
        with engine_host() as one, engine_host(instance="second", bip="10.99.0.1/24") as two:
            two.networks._networks  # noqa: B018
            one.watch()
            first = one.start("web", 80, publish={"80/tcp": [("", 8080)]})
            before = run(f"nft list table inet boxship_{BRIDGE}")
            two.create_network("theirs")
            two.start("other", 80, mode="theirs", publish={"80/tcp": [("", 8081)]})
            two.stop("other")
            two.do(two.networks.remove("theirs"))
            one.idle(0.2)
            return (
                ask("127.0.0.1", 8080),
                before == run(f"nft list table inet boxship_{BRIDGE}"),
                first.address,
            )

    answer, same, _ = in_new_host(story)
    assert answer.startswith("web saw")
    assert same
