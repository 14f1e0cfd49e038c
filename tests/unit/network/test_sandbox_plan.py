"""Which networks, which interfaces, which way out."""

from __future__ import annotations

import pytest

from boxship.errors import Forbidden, InvalidRequest
from boxship.model.ids import ContainerId, EndpointId, NetworkId
from boxship.network import plan
from boxship.network.plan import Attachment
from boxship.network.record import Endpoint, Network, Subnet
from boxship.spec.engine.container import EndpointIPAMConfig, EndpointSettings


def network(name: str, *, internal: bool = False) -> Network:
    subnets = (Subnet("10.0.0.0/24", "10.0.0.1"),)
    return Network(NetworkId(name), name, "bridge", "", internal=internal, subnets=subnets)


def endpoint(on: str, priority: int = 0) -> Endpoint:
    made = EndpointId(on), NetworkId(on), ContainerId("c" * 64), "web"
    return Endpoint(*made, link="bx", interface="eth0", ipv4="10.0.0.2", priority=priority)


def test_a_mode_means_a_network():
    assert [plan.network_of(mode) for mode in ("", "default", "bridge", "host", "mine")] == [
        "bridge", "bridge", "bridge", "host", "mine",
    ]  # fmt: skip
    assert plan.shares_with("container:web") == "web"
    assert plan.shares_with("mine") is None
    assert [plan.is_private(mode) for mode in ("bridge", "none", "host", "container:x")] == [
        True, True, False, False,
    ]  # fmt: skip


def test_interfaces_come_in_order_of_priority_then_name_internal_last():
    attachments = [
        Attachment(network("inner", internal=True), EndpointSettings(gw_priority=9)),
        Attachment(network("b"), EndpointSettings()),
        Attachment(network("a"), EndpointSettings()),
        Attachment(network("z"), EndpointSettings(gw_priority=1)),
    ]
    assert [one.network.name for one in plan.order(attachments)] == ["z", "a", "b", "inner"]


def test_the_way_out_is_never_an_internal_network():
    known = network("inner", internal=True), network("a"), network("b")
    networks = {NetworkId(one.name): one for one in known}
    assert plan.way_out([endpoint("inner", 9)], networks) is None
    chosen = plan.way_out([endpoint("inner", 9), endpoint("b"), endpoint("a")], networks)
    assert chosen is not None
    assert chosen.network == "a"
    chosen = plan.way_out([endpoint("b", 1), endpoint("a")], networks)
    assert chosen is not None
    assert chosen.network == "b"


def test_the_next_free_interface_name_is_taken_unless_one_is_asked_for():
    assert plan.interface_name({}, "eth", []) == "eth0"
    assert plan.interface_name({}, "eth", ["eth0", "eth2"]) == "eth1"
    asked = {"com.docker.network.endpoint.ifname": "wan"}
    assert plan.interface_name(asked, "eth", []) == "wan"


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("bridge", EndpointSettings(ipam_config=EndpointIPAMConfig(i_pv4_address="10.0.0.5")),
         "user-specified IP address is supported on user-defined networks only"),
        ("bridge", EndpointSettings(aliases=["www"]),
         "network-scoped aliases are only supported for user-defined networks"),
        ("mine", EndpointSettings(ipam_config=EndpointIPAMConfig(i_pv4_address="fd00::1")),
         "invalid endpoint settings:\ninvalid IPv4 address: fd00::1"),
        ("mine", EndpointSettings(mac_address="02:42"),
         "invalid endpoint settings:\ninvalid MAC address: 02:42"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_are_refused(name, settings, message):
    with pytest.raises(InvalidRequest) as refused:
        plan.check_settings(network(name), settings)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("mode", "name", "words"),
    [
        ("host", "mine", "container sharing network namespace with another container or host"),
        ("container:x", "mine", "container sharing network namespace"),
        ("bridge", "host", "cannot connect container to host network"),
        ("none", "mine", "private (none) mode"),
        ("bridge", "none", "private (none) mode"),
    ],
)
def test_connections_that_a_namespace_does_not_allow_are_refused(mode, name, words):
    with pytest.raises(Forbidden) as refused:
        plan.check_connect(mode, network(name))
    assert words in str(refused.value)


def test_a_container_has_names_on_networks_of_users_only():
    identifier = ContainerId("0123456789abcdef" * 4)
    assert plan.dns_names(network("bridge"), identifier, "web", "host", ["www"]) == ()
    assert plan.dns_names(network("mine"), identifier, "web", "host", ["www", "web"]) == (
        "web", "www", "0123456789ab", "host",
    )  # fmt: skip
