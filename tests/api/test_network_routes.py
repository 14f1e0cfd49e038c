"""The network routes, asked by docker-py and by the docker command, on a host of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import docker
import pytest
from tests.support.netns import in_new_host, run
from tests.support.networking import BRIDGE, engine_host
from tests.support.serving import serving

from boxship.api.routes import networks as routes
from boxship.network.networks import Networks

pytestmark = pytest.mark.root


def with_api(tmp_path: Path, story):
    """Run `story(host, served, docker-py, docker command)` on a host of its own."""

    def inside():
        with engine_host() as host, serving(tmp_path, [routes], {Networks: host.networks}) as api:
            client = docker.DockerClient(base_url=f"unix://{api.path}", version="1.51")

            def cli(*words: str) -> str:
                environment = {**os.environ, "DOCKER_API_VERSION": "1.48"}
                command = [shutil.which("docker") or "", "-H", f"unix://{api.path}", *words]
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=False
                )
                return done.stdout if done.returncode == 0 else done.stderr

            return story(host, api, client, cli)

    return in_new_host(inside)


def test_the_networks_that_are_always_there(tmp_path):
    def story(host, api, client, cli):
        listed = {one.name: one.attrs for one in client.networks.list()}
        refused = [
            api.request("DELETE", f"/v1.51/networks/{name}") for name in ("bridge", "host", "none")
        ]
        return listed, [(one.status, one.message) for one in refused], cli("network", "ls")

    listed, refused, table = with_api(tmp_path, story)
    assert {name: one["Driver"] for name, one in listed.items()} == {
        "bridge": "bridge",
        "host": "host",
        "none": "null",
    }
    bridge = listed["bridge"]
    assert bridge["IPAM"] == {
        "Driver": "default",
        "Options": None,
        "Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}],
    }
    assert bridge["Options"] == {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": "true",
        "com.docker.network.bridge.enable_ip_masquerade": "true",
        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
        "com.docker.network.bridge.name": BRIDGE,
        "com.docker.network.driver.mtu": "1500",
    }
    assert listed["host"]["IPAM"]["Config"] is None
    assert refused == [
        (403, f"{name} is a pre-defined network and cannot be removed")
        for name in ("bridge", "host", "none")
    ]
    assert table.splitlines()[0].split() == ["NETWORK", "ID", "NAME", "DRIVER", "SCOPE"]


def test_a_network_is_made_shown_used_and_removed(tmp_path):
    def story(host, api, client, cli):
        identifier = cli(
            "network", "create", "--subnet", "10.55.0.0/16", "--ip-range", "10.55.5.0/24",
            "--gateway", "10.55.0.7", "--aux-address", "printer=10.55.5.0", "--label", "a=b",
            "--opt", "com.docker.network.driver.mtu=1400", "office",
        ).strip()  # fmt: skip
        made = host.start("web", mode="office")
        inspected = json.loads(cli("network", "inspect", "office"))[0]
        newest = api.request("GET", "/v1.52/networks/office").document
        inside = made.place.do(run, "ip -br -4 addr show eth0; ip link show eth0; ip route")
        busy = api.request("DELETE", "/networks/office")
        host.stop("web")
        gone = cli("network", "rm", "office").strip()
        bridges = run("ip -br link show type bridge")
        return identifier, inspected, newest, inside, (busy.status, busy.message), gone, bridges

    identifier, inspected, newest, inside, busy, gone, bridges = with_api(tmp_path, story)
    assert inspected["Id"] == identifier
    assert inspected["IPAM"]["Config"] == [
        {
            "Subnet": "10.55.0.0/16",
            "IPRange": "10.55.5.0/24",
            "Gateway": "10.55.0.7",
            "AuxiliaryAddresses": {"printer": "10.55.5.0"},
        }
    ]
    assert inspected["Labels"] == {"a": "b"}
    (endpoint,) = inspected["Containers"].values()
    assert endpoint["Name"] == "web"
    assert endpoint["IPv4Address"] == "10.55.5.1/16"
    assert newest["Status"]["IPAM"]["Subnets"] == {
        "10.55.0.0/16": {"IPsInUse": 5, "DynamicIPsAvailable": 254}
    }
    assert "10.55.5.1/16" in inside
    assert "mtu 1400" in inside
    assert "default via 10.55.0.7 dev eth0" in inside
    assert busy[0] == 403
    assert busy[1].startswith("error while removing network: network office has active endpoints")
    assert gone == "office"
    assert "br-" not in bridges


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"Name": ""}, 400, "invalid name: name is empty"),
        ({"Name": "host"}, 403, "operation is not permitted on predefined host network "),
        ({"Name": "there"}, 409, "network with name there already exists"),
        ({"Name": "x", "Driver": "nope"}, 400, 'plugin "nope" not found'),
        ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.1.2.3/16"}]}}, 400,
         "invalid network config:\ninvalid subnet 10.1.2.3/16: it should be 10.1.0.0/16"),
        ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.1.0.0/16", "Gateway": "10.2.0.1"}]}},
         400, "invalid network config:\ninvalid gateway 10.2.0.1: parent subnet is 10.1.0.0/16"),
        ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.66.1.0/24"}]}}, 403,
         "Pool overlaps with other one on this address space"),
        (
            {"Name": "x", "Options": {"com.docker.network.bridge.name": BRIDGE}},
            403,
            None,
        ),
        ({"Name": "x", "Options": {"com.docker.network.bridge.enable_icc": "maybe"}}, 400, None),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_in_dockers_words(tmp_path, body, status, message):
    def story(host, api, client, cli):
        there = {"Name": "there", "IPAM": {"Config": [{"Subnet": "10.66.0.0/16"}]}}
        assert api.request("POST", "/networks/create", there).status == 201
        refused = api.request("POST", "/networks/create", body)
        return refused.status, refused.message, len(client.networks.list())

    said = with_api(tmp_path, story)
    assert said[0] == status
    if message is not None:
        assert said[1] == message
    assert said[2] == 4


def test_lists_are_filtered_and_unused_networks_pruned(tmp_path):
    def story(host, api, client, cli):
        client.networks.create("one", labels={"keep": "yes"})
        client.networks.create("two", internal=True)
        client.networks.create("three")
        host.start("web", mode="three")

        def names(**filters):
            return sorted(one.name for one in client.networks.list(filters=filters))

        seen = {
            "custom": names(type="custom"),
            "driver": names(driver="null"),
            "label": names(label="keep=yes"),
            "name": names(name="^t"),
            "dangling": names(dangling="true"),
        }
        bad = api.request("GET", '/networks?filters={"nope":["x"]}')
        pruned = client.networks.prune(filters={"label!": ["keep"]})
        young = client.networks.prune(filters={"until": "1h"})
        return seen, (bad.status, bad.message), pruned, young, names(type="custom")

    seen, bad, pruned, young, left = with_api(tmp_path, story)
    assert seen == {
        "custom": ["one", "three", "two"],
        "driver": ["none"],
        "label": ["one"],
        "name": ["three", "two"],
        "dangling": ["one", "two"],
    }
    assert bad == (400, "invalid filter 'nope'")
    assert pruned == {"NetworksDeleted": ["two"]}
    assert young == {"NetworksDeleted": None}
    assert left == ["one", "three"]


def test_a_running_container_is_joined_to_a_network_and_taken_off_again(tmp_path):
    def story(host, api, client, cli):
        client.networks.create("office")
        web = host.start("web", 80)
        net = client.networks.get("office")
        net.connect(web.id, aliases=["www"])
        joined = web.place.do(run, "ip -br -4 addr; ip route show default")
        again = api.request("POST", "/networks/office/connect", {"Container": "web"})
        settings = host.kept.shown[web.id, "office"]
        net.reload()
        shown = net.attrs["Containers"]
        net.disconnect("web")
        parted = web.place.do(run, "ip -br -4 addr")
        missing = api.request("POST", "/networks/office/disconnect", {"Container": "web"})
        unknown = api.request("POST", "/networks/office/connect", {"Container": "nobody"})
        events = [
            (action, told["name"])
            for type, action, _, told in host.heard.events
            if type == "network"
        ]
        return (
            joined, parted, shown, settings.ip_address, settings.dns_names,
            [(one.status, one.message) for one in (again, missing, unknown)], events,
        )  # fmt: skip

    joined, parted, shown, address, names, refused, events = with_api(tmp_path, story)
    assert "eth1" in joined
    assert "172.18.0.2/16" in joined
    assert "default via 172.17.0.1" in joined  # bridge sorts before office
    assert address == "172.18.0.2"
    assert names[:2] == ["web", "www"]
    assert [one["IPv4Address"] for one in shown.values()] == ["172.18.0.2/16"]
    assert "eth1" not in parted
    assert refused[0] == (403, "web is already attached to network office")
    assert refused[1][0] == 403
    assert refused[2][0] == 404
    assert events == [
        ("create", "office"),
        ("connect", "bridge"),
        ("connect", "office"),
        ("disconnect", "office"),
    ]
