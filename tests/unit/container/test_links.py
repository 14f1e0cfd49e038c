"""What a link says, and what the linked container's ports become."""

from __future__ import annotations

import pytest

from boxship.container import links
from boxship.container.record import Container, NetworkView
from boxship.errors import InvalidRequest
from boxship.model.ids import ContainerId
from boxship.spec.engine.container import ContainerConfig, EndpointSettings, HostConfig


@pytest.mark.parametrize(
    ("text", "found"),
    [("db", ("db", "db")), ("db:x", ("db", "x")), ("/db:/web/x", ("db", "x"))],
)
def test_links_are_read(text: str, found: tuple[str, str]) -> None:
    assert links.parse(text) == found


@pytest.mark.parametrize("text", ["", ":", "db:", ":x", "a:b:c", "db:a b", "db:x\n1.2.3.4 y"])
def test_what_is_no_link(text: str) -> None:
    with pytest.raises(InvalidRequest):
        links.parse(text)


def other(*ports: str) -> Container:
    return Container(
        id=ContainerId("d" * 64),
        name="db",
        created=0,
        image="",
        config=ContainerConfig(
            hostname="host", env=["PATH=/x", "A=b=c", "D"], exposed_ports={one: {} for one in ports}
        ),
        host_config=HostConfig(),
        network=NetworkView(endpoints={"bridge": EndpointSettings(ip_address="10.0.0.2")}),
    )


def test_the_lowest_tcp_port_stands_for_all() -> None:
    lines = links.environment({"x-y": other("53/udp", "443/tcp", "80/tcp")}, "web")
    assert lines[0] == "X_Y_PORT=tcp://10.0.0.2:80"
    assert lines[-2:] == ["X_Y_NAME=/web/x-y", "X_Y_ENV_A=b=c"]


def test_without_ports_there_is_a_name() -> None:
    assert links.environment({"x": other()}, "web") == ["X_NAME=/web/x", "X_ENV_A=b=c"]


def test_ports_that_follow_each_other_are_a_range_too() -> None:
    lines = links.environment({"x": other("7000-7002/tcp", "7003/udp")}, "web")
    assert "X_PORT_7000_TCP_START=tcp://10.0.0.2:7000" in lines
    assert "X_PORT_7000_TCP_PORT_END=7002" in lines
    assert "X_PORT_7002_TCP_ADDR=10.0.0.2" in lines
    assert not any("7003_UDP_START" in line for line in lines)


def test_a_new_address_replaces_the_old_line_only() -> None:
    text = "127.0.0.1\tlocalhost\n10.0.0.2\tx host db\n10.0.0.3\tself\n"
    assert links.hosts({"x": other()}) == ["x host db=10.0.0.2"]
    assert links.renewed(text, "x host db", "10.0.0.9") == text.replace("0.2\tx", "0.9\tx")
