"""Ports: what was asked for, and what is shown of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.network import ports
from boxship.network.errors import InvalidPort
from boxship.network.ports import Wanted, parse_host_port, parse_port, shown, wanted
from boxship.network.record import Publication
from boxship.spec.engine.container import PortBinding


@pytest.mark.parametrize(
    ("text", "meant"),
    [("80", (80, "tcp")), ("53/udp", (53, "udp")), ("9/SCTP", (9, "sctp")), ("80/", (80, "tcp"))],
)
def test_a_port_is_read(text, meant):
    assert parse_port(text) == meant


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "-1", "80/icmp", "８０", "80-81", "a", "80 ", "+80"]
)
def test_what_is_no_port_is_refused(text):
    with pytest.raises(InvalidPort, match="invalid port specification"):
        parse_port(text)


@pytest.mark.parametrize("text", ["9-8", "1-65536", "x", "1-", "-5", "1-2-3", "0-5"])
def test_what_is_no_host_port_is_refused(text):
    with pytest.raises(InvalidPort):
        parse_host_port(text)


@given(st.text())
def test_any_text_is_a_port_or_refused(text):
    try:
        number, protocol = parse_port(text)
    except InvalidPort:
        return
    assert 0 < number < 65536
    assert protocol in ports.PROTOCOLS


def test_bindings_become_wishes_in_a_fixed_order():
    bindings = {
        "443/tcp": [PortBinding(host_ip="[::1]", host_port="8443")],
        "80/tcp": [PortBinding(host_port="8000-8010"), PortBinding(host_ip="127.0.0.1")],
        "53/udp": None,
    }
    assert list(wanted(bindings, ["9/udp"], publish_all=False)) == [
        Wanted("tcp", 80, "", 8000, 8010),
        Wanted("tcp", 80, "127.0.0.1", 0, 0),
        Wanted("tcp", 443, "::1", 8443, 8443),
    ]
    assert list(wanted({}, ["9/udp", "80"], publish_all=True)) == [
        Wanted("udp", 9, "", 0, 0),
        Wanted("tcp", 80, "", 0, 0),
    ]
    with pytest.raises(InvalidPort, match="invalid IP address: host"):
        ports.check_bindings({"80/tcp": [PortBinding(host_ip="host")]})


def test_every_exposed_port_is_shown_with_its_bindings_or_null():
    found = shown(
        [
            Publication("tcp", "0.0.0.0", 8080, "10.0.0.2", 80),
            Publication("tcp", "::", 8080, "fd::2", 80),
        ],
        ["80", "53/udp"],
    )
    assert found == {
        "80/tcp": [
            PortBinding(host_ip="0.0.0.0", host_port="8080"),
            PortBinding(host_ip="::", host_port="8080"),
        ],
        "53/udp": None,
    }
