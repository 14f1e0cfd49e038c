"""hosts and resolv.conf: what a container's libraries read."""

from __future__ import annotations

from boxship.network import hosts
from boxship.network.hosts import Resolver

HOST = hosts.parse_resolver(
    "# a comment\nnameserver 127.0.0.53\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n"
    "nameserver 2001:db8::1\ndomain old.test\nsearch a.test b.test\noptions edns0\noptions rotate\n"
)


def test_a_resolver_file_is_read_as_the_c_library_does():
    assert (
        Resolver(
            ("127.0.0.53", "10.0.0.1", "fe80::1%eth0", "2001:db8::1"),
            ("a.test", "b.test"),
            ("edns0", "rotate"),
        )
        == HOST
    )


def resolve(host: Resolver, asked: Resolver = Resolver(), **facts: bool) -> Resolver:  # noqa: B008
    return hosts.resolver(host, asked, **{"ipv6": False, "own_namespace": True, **facts})


def test_servers_that_a_container_cannot_reach_are_left_out():
    assert resolve(HOST).servers == ("10.0.0.1",)
    assert resolve(HOST, ipv6=True).servers == ("10.0.0.1", "2001:db8::1")
    assert resolve(HOST, own_namespace=False).servers == HOST.servers


def test_public_servers_stand_in_where_none_is_left():
    only_loopback = Resolver(("127.0.0.1", "::1"))
    assert resolve(only_loopback).servers == ("8.8.8.8", "8.8.4.4")
    assert resolve(only_loopback, ipv6=True).servers[2:] == (
        "2001:4860:4860::8888",
        "2001:4860:4860::8844",
    )


def test_what_is_asked_for_wins_even_on_the_loopback():
    asked = Resolver(("127.0.0.9",), ("c.test",), ("ndots:2",))
    assert resolve(HOST, asked) == asked
    assert resolve(HOST, Resolver(search=(".",))).search == ()
    assert hosts.render_resolver(asked).decode().splitlines()[1:] == [
        "nameserver 127.0.0.9",
        "search c.test",
        "options ndots:2",
    ]


def test_the_hosts_file_has_extra_lines_before_the_containers_own():
    made = hosts.hosts(
        ["172.17.0.2", "fd00::2"],
        hosts.own_names("web", "example.test"),
        ["db:10.0.0.5", "six:fd00::5", "six2=[fd00::6]", "host.docker.internal:host-gateway"],
        host_gateways=["172.17.0.1"],
    )
    assert made.decode().removeprefix(hosts.STANDARD).splitlines() == [
        "10.0.0.5\tdb",
        "fd00::5\tsix",
        "fd00::6\tsix2",
        "172.17.0.1\thost.docker.internal",
        "172.17.0.2\tweb.example.test web",
        "fd00::2\tweb.example.test web",
    ]


def test_a_hostname_with_a_domain_in_it_has_a_short_form():
    assert hosts.own_names("web.example.test") == ["web.example.test", "web"]
    assert hosts.own_names("web") == ["web"]
    assert hosts.own_names("") == []
