"""Sandboxes: what is inside them, who reaches whom, and what a crash of the engine leaves."""

from __future__ import annotations

import os
import time

import pytest
from tests.support.engine import PATIENCE
from tests.support.netns import ask, in_new_host, run
from tests.support.networking import BRIDGE, LAN_HOST, engine_host, neighbour

pytestmark = pytest.mark.root


def test_a_sandbox_has_its_link_address_route_and_no_ipv6():
    """SEC-74: not even a link-local address, and no heed of router advertisements."""

    def story():
        with engine_host(mtu=1400) as host:
            web = host.start("web", mac="02:00:00:00:00:99")
            seen = web.place.do(run, "ip -o addr; ip route; ip -o link show eth0")
            settings = web.place.do(
                run, "cd /proc/sys/net/ipv6/conf; cat eth0/disable_ipv6 eth0/accept_ra"
            )
            bridge = run(f"cat /proc/sys/net/ipv6/conf/{BRIDGE}/disable_ipv6")
            hosts = web.sandbox.hosts.decode()
            key = os.readlink(web.sandbox.key) == f"/proc/{web.place.pid}/ns/net"
            return seen, settings.split(), bridge.strip(), hosts, key

    seen, settings, bridge, hosts, key = in_new_host(story)
    addresses = [line.split()[1:4] for line in seen.splitlines() if " inet" in line]
    assert addresses == [
        ["lo", "inet", "127.0.0.1/8"],
        ["lo", "inet6", "::1/128"],
        ["eth0", "inet", "172.17.0.2/16"],
    ]
    assert "default via 172.17.0.1 dev eth0" in seen
    assert "mtu 1400" in seen
    assert "02:00:00:00:00:99" in seen
    assert (settings, bridge) == (["1", "0"], "1")
    assert "172.17.0.2\tweb\n" in hosts
    assert key


def test_none_has_a_loopback_and_host_is_the_host():
    def story():
        with engine_host() as host:
            alone = host.start("alone", mode="none")
            links = alone.place.do(run, "ip -br link; ip route")
            shared = host.start("shared", mode="host")
            return links, shared.sandbox.netns, list(shared.sandbox.settings), run("ip -br link")

    links, netns, settings, host_links = in_new_host(story)
    assert links.split()[:2] == ["lo", "UNKNOWN"]
    assert len(links.splitlines()) == 1
    assert netns is None
    assert settings == ["host"]
    assert BRIDGE not in host_links  # nothing asked for it


def test_a_container_shares_anothers_namespace_which_must_run():
    def story():
        with engine_host() as host:
            web = host.start("web", 80)
            guest = host.start("guest", mode="container:web")
            seen = guest.place.do(ask, "127.0.0.1", 80), guest.place.do(run, "ip -br -4 addr")
            # its address may be somebody's again while the guest still lives in the namespace
            host.stop("web")
            alone = guest.place.do(run, "ip -br link")
            again = host.start("again").address
            try:
                host.start("late", mode="container:web")
                said = ""
            except Exception as refused:
                said = str(refused)
            return seen, alone, again, said, web.address

    (answer, addresses), alone, again, said, before = in_new_host(story)
    assert answer == "web saw 127.0.0.1"
    assert "172.17.0.2/16" in addresses
    assert "eth0" not in alone
    assert again == before
    assert "No such container" in said


def test_internal_networks_and_isolated_ports():
    """SEC-77: who reaches whom, with icc off, and from a network that leads nowhere."""

    def story():
        with engine_host(icc=False) as host, neighbour() as lan:
            one, two = host.start("one", 80), host.start("two", 80)
            host.create_network("inner", internal=True)
            three = host.start("three", 80, mode="inner")
            four = host.start("four", 80, mode="inner", publish={"80/tcp": [("", 8080)]})
            lan.do(run, "ip link set lo up")
            run("nft add table ip noise && nft delete table ip noise")
            return {
                "icc": one.place.do(ask, two.address, 80),
                "icc, gateway": one.place.do(ask, "172.17.0.1", 9),
                "icc, out": one.place.do(ask, "192.168.77.2", 9),
                "inner": three.place.do(ask, four.address, 80),
                "inner, out": three.place.do(ask, "192.168.77.2", 9),
                "inner, other": three.place.do(ask, one.address, 80),
                "into inner": one.place.do(ask, three.address, 80),
                "inner, ports": four.sandbox.ports,
                "LAN to inner": lan.do(ask, LAN_HOST, 8080),
                "routes": three.place.do(run, "ip route show default"),
            }

    seen = in_new_host(story)
    assert (
        seen
        == {
            "icc": "OSError",  # no route to host: the neighbour does not answer
            "icc, gateway": "ConnectionRefusedError",
            "icc, out": "ConnectionRefusedError",
            "inner": "four saw 172.18.0.2",
            "inner, out": "OSError",
            "inner, other": "OSError",
            "into inner": "TimeoutError",
            "inner, ports": {"80/tcp": None},
            "LAN to inner": "ConnectionRefusedError",
            "routes": "",
        }
        or seen["icc"] == "TimeoutError"
    )


def test_a_network_with_ipv6_has_it_inside_and_publishes_on_it():
    def story():
        with engine_host() as host:
            host.create_network("six", ipv6=True)
            web = host.start("web", 80, mode="six", publish={"80/tcp": [("", 8080)]})
            other = host.start("other", mode="six")
            from tests.support.netns import listen

            web.place.do(listen, 80, "web6", "tcp", "::1")
            settings = web.sandbox.settings["six"]
            address = settings.global_i_pv6_address
            web.place.do(listen, 81, "web6", "tcp", address)
            ports = [(one.host_ip, one.host_port) for one in web.sandbox.ports["80/tcp"]]
            return (
                other.place.do(ask, address, 81),
                ask(address, 81),
                settings.i_pv6_gateway,
                web.place.do(run, "ip -6 route show default"),
                ports,
            )

    other, host, gateway, route, ports = in_new_host(story)
    assert other.startswith("web6 saw fd")
    assert host.startswith("web6 saw fd")
    assert f"default via {gateway} dev eth0" in route
    assert ports == [("0.0.0.0", "8080"), ("::", "8080")]


def test_containers_keep_everything_over_a_crash_and_nothing_else_is_kept():
    def story():
        with engine_host() as host, neighbour() as lan:
            host.create_network("far")
            host.start("web", 80, publish={"80/tcp": [("", 8080)], "80/udp": [("", 5353)]})
            host.start("away", 80, mode="far", publish={"80/tcp": [("127.0.0.1", 8081)]})
            doomed = host.start("doomed", 80, publish={"80/tcp": [("", 8082)]})
            kept = host.networks.list()
            rules = run(f"nft list table inet boxship_{BRIDGE}").replace(
                f"tcp . 8082 : {doomed.address} . 80", ""
            )
            host.crash()
            # while the engine was away: one container ended, and an orphan is left of a start
            host.running.pop("doomed").place.end()
            group = run(f"ip -o -d link show {BRIDGE}").split("group ")[1].split()[0]
            run(
                f"ip link add bxorphan type veth peer name bxpeer && ip link set bxorphan "
                f"group {group} && ip link set bxorphan master {BRIDGE} up"
            )
            during = lan.do(ask, LAN_HOST, 8080)
            host.begin()
            deadline = time.monotonic() + 30 * PATIENCE
            while host.networks.leaks() and time.monotonic() < deadline:
                host.idle(0.02)
            fresh = host.start("fresh", 80)
            try:
                host.start("clash", publish={"80/tcp": [("", 8080)]})
                said = ""
            except Exception as refused:
                said = str(refused)
            again = run(f"nft list table inet boxship_{BRIDGE}")
            return (
                during,
                lan.do(ask, LAN_HOST, 8080),
                ask("127.0.0.1", 8081),
                lan.do(ask, LAN_HOST, 8082),
                host.troubles,
                host.networks.list() == kept,
                host.networks.leaks(),
                fresh.address,
                said.endswith("port is already allocated"),
                sorted(rules.split()) == sorted(again.split()) or (rules, again),
            )

    (during, after, loopback, gone, troubles, same, leaks, fresh, clash, rules) = in_new_host(story)
    assert during.startswith("web saw")
    assert after.startswith("web saw")
    assert loopback.startswith("away saw")
    assert gone == "ConnectionRefusedError"
    assert troubles == []
    assert same
    assert leaks == []
    assert fresh == "172.17.0.3"
    assert clash
    assert rules is True or "8082" not in rules[1]


def test_a_link_goes_though_some_process_keeps_its_namespace():
    """Its address is another container's by then."""

    def story():
        with engine_host() as host:
            host.watch()
            web = host.start("web")
            other = host.start("other")
            entered = os.open(f"/proc/{web.place.pid}/ns/net", os.O_RDONLY)
            host.stop("web")
            fresh = host.start("fresh", 80)
            deadline = time.monotonic() + 30 * PATIENCE
            while run("ip -br link show type veth").count("bx") > 2:
                assert time.monotonic() < deadline
                host.idle(0.1)
            os.close(entered)
            return fresh.address == web.address, other.place.do(ask, fresh.address, 80)

    assert in_new_host(story) == (True, "fresh saw 172.17.0.3")


def test_a_bridge_that_somebody_deleted_is_made_again():
    def story():
        with engine_host() as host:
            host.start("one", 80)
            run(f"ip link delete {BRIDGE}")
            two = host.start("two", 80)
            return ask(two.address, 80)

    assert in_new_host(story).startswith("two saw")


def test_many_sandboxes_come_and_go_and_leave_nothing():
    def story():
        with engine_host() as host:
            for round in range(20):
                names = [f"c{round}-{number}" for number in range(5)]
                for number, name in enumerate(names):
                    host.start(name, publish={"80/tcp": [("", 9000 + number)]})
                for name in names:
                    host.stop(name)
            descriptors = len(os.listdir("/proc/self/fd"))
            for _ in range(5):
                host.start("again")
                host.stop("again")
            grown = len(os.listdir("/proc/self/fd")) - descriptors
            deadline = time.monotonic() + 30 * PATIENCE
            while "bx" in run("ip -br link show type veth") and time.monotonic() < deadline:
                host.idle(0.05)
            elements = run(f"nft list map inet boxship_{BRIDGE} any4").count("elements")
            address = host.start("last").address
            return run("ip -br link show type veth").count("bx"), elements, address, grown

    assert in_new_host(story) == (1, 0, "172.17.0.2", 0)


def test_the_default_bridge_has_ipv6_when_asked_and_keeps_its_range():
    def story():
        with engine_host(ipv6=True) as host:
            web = host.start("web", 80, publish={"80/tcp": [("", 8080)]})
            first = host.networks.resolve("bridge").subnets
            settings = web.sandbox.settings["bridge"]
            shown = [(one.host_ip, one.host_port) for one in web.sandbox.ports["80/tcp"]]
            host.crash()
            host.begin()
            same = host.networks.resolve("bridge").subnets == first
            rules = run(f"nft list table inet boxship_{BRIDGE}")
            return settings.global_i_pv6_address, shown, same, "tcp . 8080 : fd" in rules

    address, shown, same, published = in_new_host(story)
    assert address.startswith("fd")
    assert shown == [("0.0.0.0", "8080"), ("::", "8080")]
    assert same
    assert published
