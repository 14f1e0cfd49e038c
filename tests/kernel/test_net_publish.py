"""Published ports, seen from everywhere: the LAN, the host, other containers, the container."""

from __future__ import annotations

import socket

import pytest
from tests.support.engine import PATIENCE
from tests.support.netns import ask, in_new_host, listen, run
from tests.support.networking import LAN_HOST, LAN_NEIGHBOUR, engine_host, neighbour

pytestmark = pytest.mark.root


def test_a_published_port_answers_everywhere_and_nothing_else_does():
    def story():
        with engine_host() as host, neighbour() as lan:
            web = host.start("web", 80, publish={"80/tcp": [("", 8080)], "80/udp": [("", 5353)]})
            other = host.start("other", 80)
            far = host.create_network("far")
            away = host.start("away", 80, mode="far")
            lan.do(listen, 80, "lan")
            lan.do(run, f"ip route add 172.16.0.0/12 via {LAN_HOST}")
            gateway = web.sandbox.settings["bridge"].gateway
            return {
                "LAN": lan.do(ask, LAN_HOST, 8080),
                "LAN, UDP": lan.do(ask, LAN_HOST, 5353, "udp"),
                "LAN, unpublished": lan.do(ask, LAN_HOST, 80),
                "LAN, direct": lan.do(ask, web.address, 80),
                "LAN, direct, other network": lan.do(ask, away.address, 80),
                "host by loopback": ask("127.0.0.1", 8080),
                "host by loopback, UDP": ask("127.0.0.1", 5353, "udp"),
                "host by its address": ask(LAN_HOST, 8080),
                "host, direct": ask(web.address, 80),
                "same network": other.place.do(ask, web.address, 80),
                "same network, through the host": other.place.do(ask, LAN_HOST, 8080),
                "itself, through the host": web.place.do(ask, LAN_HOST, 8080),
                "itself, through the gateway": web.place.do(ask, gateway, 8080),
                "other network, through the host": away.place.do(ask, LAN_HOST, 8080),
                "other network, direct": away.place.do(ask, web.address, 80),
                "out": web.place.do(ask, LAN_NEIGHBOUR, 80),
                "far": far.subnets[0].subnet != "",
            }

    seen = in_new_host(story)
    assert seen.pop("far")
    assert seen == {
        "LAN": f"web saw {LAN_NEIGHBOUR}",
        "LAN, UDP": f"web saw {LAN_NEIGHBOUR}",
        "LAN, unpublished": "ConnectionRefusedError",
        "LAN, direct": "TimeoutError",
        "LAN, direct, other network": "TimeoutError",
        "host by loopback": "web saw 172.17.0.1",
        "host by loopback, UDP": "web saw 172.17.0.1",
        "host by its address": f"web saw {LAN_HOST}",
        "host, direct": "web saw 172.17.0.1",
        "same network": "web saw 172.17.0.3",
        "same network, through the host": "web saw 172.17.0.1",
        "itself, through the host": "web saw 172.17.0.1",
        "itself, through the gateway": "web saw 172.17.0.1",
        "other network, through the host": "web saw 172.17.0.1",
        "other network, direct": "TimeoutError",
        "out": f"lan saw {LAN_HOST}",
    }


def test_the_container_reaches_itself_where_bridged_packets_pass_the_rules():
    """With br_netfilter on, a bridge port has to accept its own packets again."""

    def story():
        run("sysctl -qw net.bridge.bridge-nf-call-iptables=1")
        with engine_host() as host:
            web = host.start("web", 80, publish={"80/tcp": [("", 8080)]})
            other = host.start("other", 80)
            return web.place.do(ask, "172.17.0.1", 8080), other.place.do(ask, web.address, 80)

    own, others = in_new_host(story)
    assert own.startswith("web saw ")
    assert others == "web saw 172.17.0.3"


def test_a_port_published_on_the_loopback_stays_there():
    """SEC-71, SEC-73: not from the LAN, not by a forged route to 127.0.0.1."""

    def story():
        with engine_host() as host, neighbour() as lan:
            host.start("web", 80, publish={"80/tcp": [("127.0.0.1", 8080)]})
            other = host.start("other", 80)
            listen(9999, "a service of the host", host="127.0.0.1")
            for place in (lan, other.place):
                place.do(run, "sysctl -qw net.ipv4.conf.all.route_localnet=1")
                place.do(run, "ip addr del 127.0.0.1/8 dev lo && ip link set lo down")
                place.do(run, "ip route flush table local root 127.0.0.0/8 || true")
            lan.do(run, f"ip route add 127.0.0.0/8 via {LAN_HOST} src {LAN_NEIGHBOUR}")
            other.place.do(run, "ip route add 127.0.0.0/8 via 172.17.0.1")
            return {
                "host": ask("127.0.0.1", 8080),
                "LAN": lan.do(ask, LAN_HOST, 8080),
                "LAN to loopback": lan.do(ask, "127.0.0.1", 8080),
                "LAN to the host's service": lan.do(ask, "127.0.0.1", 9999),
                "container to the host's service": other.place.do(ask, "127.0.0.1", 9999),
            }

    seen = in_new_host(story)
    assert seen["host"] == "web saw 172.17.0.1"
    assert seen["LAN"] == "ConnectionRefusedError"
    assert seen["LAN to loopback"] == "TimeoutError"
    assert seen["LAN to the host's service"] == "TimeoutError"
    assert seen["container to the host's service"] == "TimeoutError"


def test_ports_are_refused_with_dockers_words_and_nothing_is_kept():
    def story():
        with engine_host() as host:
            host.start("one", publish={"80/tcp": [("", 8080)]})
            taken = socket.create_server(("0.0.0.0", 8081))
            said = []
            for name, port in (("two", 8080), ("three", 8081)):
                try:
                    host.start(name, publish={"80/tcp": [("", 8100), ("", port)]})
                except Exception as refused:
                    said.append(str(refused))
            taken.close()
            # what the failures had taken by then is free again: port and address
            again = host.start("four", publish={"80/tcp": [("", 8100), ("", 8081)]})
            try:
                socket.create_server(("0.0.0.0", 8080))
            except OSError as refused:
                said.append(str(refused.strerror).partition(" (")[0])
            return said, again.address

    said, address = in_new_host(story)
    assert said[0].startswith("driver failed programming external connectivity on endpoint two (")
    assert said[0].endswith("): Bind for 0.0.0.0:8080 failed: port is already allocated")
    assert said[1].endswith("failed to bind host port 0.0.0.0:8081/tcp: address already in use")
    assert said[2] == "Address already in use"
    assert address == "172.17.0.3"


def test_ports_of_the_ephemeral_range_and_host_ranges_are_found():
    def story():
        with engine_host() as host:
            one = host.start("one", publish={"80/tcp": [("", "")]})
            two = host.start("two", publish={"80/tcp": [("", "")]}, exposed=["81/tcp"])
            three = host.start("three", publish={"80/tcp": [("", "9000-9001")]})
            four = host.start("four", publish={"80/tcp": [("", "9000-9001")]})
            try:
                host.start("five", publish={"80/tcp": [("", "9000-9001")]})
                said = ""
            except Exception as refused:
                said = str(refused)
            every = host.start("every", exposed=["80/tcp", "53/udp"], publish_all=True)
            shown = [
                {
                    port: [(one.host_ip, one.host_port) for one in found or ()]
                    for port, found in running.sandbox.ports.items()
                }
                for running in (one, two, three, four, every)
            ]
            return shown, said, run("cat /proc/sys/net/ipv4/ip_local_port_range").split()

    shown, said, (first, last) = in_new_host(story)
    for found in (shown[0]["80/tcp"], shown[1]["80/tcp"], *shown[4].values()):
        assert int(first) <= int(found[0][1]) <= int(last)
    assert shown[1]["81/tcp"] == []
    assert shown[2] == {"80/tcp": [("0.0.0.0", "9000")]}
    assert shown[3] == {"80/tcp": [("0.0.0.0", "9001")]}
    assert said.endswith("Bind for 0.0.0.0:9000-9001 failed: all ports are allocated")


def test_udp_moves_to_the_new_container_though_the_client_keeps_its_port():
    """What the kernel remembers of a datagram's way is forgotten with the publication."""

    def story():
        with engine_host() as host, neighbour():
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            client.settimeout(PATIENCE)
            client.connect((LAN_HOST, 5353))
            said = []
            for name in ("one", "two"):
                host.start(name, 53, publish={"53/udp": [("", 5353)]})
                client.send(b"x")
                said.append(client.recv(100).decode().split()[0])
                host.start(f"beside {name}")  # so that the next one has another address
                host.stop(name)
            return said

    assert in_new_host(story) == ["one", "two"]


def test_ipv6_ports_answer_from_the_lan_and_nothing_else_does():
    """SEC-77 for IPv6: with our rules, and while they are gone."""

    def story():
        with engine_host() as host, neighbour() as lan:
            run("ip addr add 2001:db8::1/64 dev lan0 nodad")
            lan.do(run, "ip addr add 2001:db8::2/64 dev eth0 nodad")
            lan.do(run, "ip route add fd00::/8 via 2001:db8::1")
            for name in ("six", "far"):
                host.create_network(name, ipv6=True)
            web = host.start("web", mode="six", publish={"80/tcp": [("", 8080)]})
            away = host.start("away", mode="far")
            settings = web.sandbox.settings["six"]
            address = settings.global_i_pv6_address
            web.place.do(listen, 80, "web", "tcp", "::")
            lan.do(listen, 80, "lan", "tcp", "::")
            seen = {
                "LAN": lan.do(ask, "2001:db8::1", 8080),
                "host": ask("2001:db8::1", 8080),
                "itself": web.place.do(ask, "2001:db8::1", 8080),
                "other network": away.place.do(ask, "2001:db8::1", 8080),
                "out": web.place.do(ask, "2001:db8::2", 80),
                "LAN, direct": lan.do(ask, address, 80),
                "other network, direct": away.place.do(ask, address, 80),
            }
            run("nft flush ruleset")
            seen["LAN, direct, no rules"] = lan.do(ask, address, 80)
            seen["other network, no rules"] = away.place.do(ask, address, 80)
            return seen, address, settings.i_pv6_gateway

    seen, address, gateway = in_new_host(story)
    assert seen == {
        "LAN": "web saw 2001:db8::2",
        "host": "web saw 2001:db8::1",
        "itself": f"web saw {gateway}",
        "other network": f"web saw {gateway}",
        "out": "lan saw 2001:db8::1",
        "LAN, direct": "TimeoutError",
        "other network, direct": "TimeoutError",
        "LAN, direct, no rules": "TimeoutError",
        "other network, no rules": "TimeoutError",
    }, address


def test_the_hosts_ipv6_loopback_refuses_at_once_so_that_clients_try_the_other():
    """The kernel redirects nothing from ::1; a client of "localhost" must not hang there."""

    def story():
        with engine_host() as host:
            host.create_network("six", ipv6=True)
            web = host.start("web", mode="six", publish={"80/tcp": [("", 8080)]})
            web.place.do(listen, 80, "web", "tcp", "::")
            try:
                socket.create_server(("::", 8080), family=socket.AF_INET6)
                said = ""
            except OSError as refused:
                said = str(refused.strerror).partition(" (")[0]
            return ask("::1", 8080), ask("127.0.0.1", 8080), said

    one, four, taken = in_new_host(story)
    assert one == "ConnectionRefusedError"
    assert four.startswith("web saw")
    assert taken == "Address already in use"
