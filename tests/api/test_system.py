"""Ping, version, info, events, and what is refused, by version."""

from __future__ import annotations

import json

import pytest
from tests.api.conftest import Serve
from tests.support.serving import Served

from boxship.api.routes import events, swarm, system
from boxship.events.journal import Journal
from boxship.runtime.cgroups.features import Features
from boxship.system.info import Facts, Settings, System

FACTS = Facts(
    id="an-id", name="host", operating_system="Linux", os_version="1", kernel="6.1",
    machine="x86_64", architecture="amd64", processors=2, memory=1 << 30, features=Features(),
    cgroup_version=2, filesystem="ext4",
)  # fmt: skip


class Some:
    driver = "overlay2"
    driver_names = ("bridge", "host")
    warnings = ("WARNING: something stands in the way",)

    def states(self) -> list[str]:
        return ["running", "exited", "created", "paused"]

    def count(self) -> int:
        return 3


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def served(serve: Serve, journal: Journal) -> Served:
    settings = Settings(
        http_proxy="http://user:secret@proxy:1", labels=["a=b"], oldest_api="1.24",
        insecure_registries=["reg:5000", "10.0.0.0/8"], default_runtime="runc",
        runtimes={"runc": ("/usr/sbin/runc", ())},
    )  # fmt: skip
    some = Some()
    whole = System(FACTS, settings, journal=journal, containers=some, images=some, networks=some)
    return serve([system, events, swarm], {System: whole, Journal: journal})


def test_ping_says_what_clients_negotiate_by(served: Served) -> None:
    answer = served.get("/_ping")
    assert (answer.status, answer.body) == (200, b"OK")
    assert answer.headers["Swarm"] == "inactive"
    assert answer.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    head = served.request("HEAD", "/v1.40/_ping")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Api-Version"] == "1.56"
    assert head.headers["Content-Length"] == "2"


def test_version_names_the_range(served: Served) -> None:
    version = served.get("/version").document
    assert (version["ApiVersion"], version["MinAPIVersion"]) == ("1.56", "1.24")
    assert version["Platform"]["Name"] == "Boxship Engine"
    assert version["Components"][0]["Name"] == "Engine"
    assert "Components" not in served.get("/v1.34/version").document


def test_info_counts_and_warns(served: Served) -> None:
    info = served.get("/info").document
    assert [info[f"Containers{kind}"] for kind in ("", "Running", "Paused", "Stopped")] == [
        4, 1, 1, 2,
    ]  # fmt: skip
    assert info["Images"] == 3
    assert info["Swarm"]["LocalNodeState"] == "inactive"
    assert info["Runtimes"]["runc"]["path"] == "/usr/sbin/runc"
    assert info["RegistryConfig"]["InsecureRegistryCIDRs"][-1] == "10.0.0.0/8"
    assert info["RegistryConfig"]["IndexConfigs"]["reg:5000"]["Secure"] is False
    assert "WARNING: No memory limit support" in info["Warnings"]
    assert info["Warnings"][-1] == "WARNING: something stands in the way"


def test_a_proxys_password_is_not_shown(served: Served) -> None:
    answer = served.get("/info")
    assert answer.document["HttpProxy"] == "http://xxxxx:xxxxx@proxy:1"
    assert b"secret" not in answer.body


@pytest.mark.parametrize(
    ("version", "present", "absent"),
    [
        ("1.56", ["FirewallBackend", "Warnings"], ["BridgeNfIptables", "SystemStatus"]),
        ("1.49", ["FirewallBackend", "BridgeNfIptables"], ["KernelMemory"]),
        ("1.48", ["CDISpecDirs"], ["FirewallBackend"]),
        ("1.43", ["CgroupVersion"], ["CDISpecDirs"]),
        ("1.40", ["ClusterStore", "Warnings"], ["CgroupVersion", "SystemStatus"]),
        ("1.38", ["SystemStatus"], ["Warnings", "ProductLicense"]),
    ],
)
def test_info_has_what_each_version_knows(
    served: Served, version: str, present: list[str], absent: list[str]
) -> None:
    info = served.get(f"/v{version}/info").document
    assert [name for name in present if name not in info] == []
    assert [name for name in absent if name in info] == []


def test_events_have_their_older_form(served: Served, journal: Journal) -> None:
    journal.publish("container", "start", "c1", {"image": "busybox", "name": "web"})
    journal.publish("image", "create", "i1", {"name": "busybox"})
    journal.publish("volume", "create", "v1", {"driver": "local"})

    def ended(version: str, accept: str = "") -> tuple[str, list[dict[str, object]]]:
        answer = served.get(f"/v{version}/events?until=0s", Accept=accept)
        lines = answer.body.replace(b"\x1e", b"").splitlines()
        return answer.headers["Content-Type"], [json.loads(line) for line in lines]

    kind, new = ended("1.56")
    assert kind == "application/jsonl"
    assert [event["Type"] for event in new] == ["container", "image", "volume"]
    assert all("status" not in event for event in new)
    assert set(new[0]) == {"Type", "Action", "Actor", "scope", "time", "timeNano"}
    kind, old = ended("1.51")
    assert kind == "application/json"
    assert (old[0]["status"], old[0]["id"], old[0]["from"]) == ("start", "c1", "busybox")
    assert (old[1]["status"], old[1]["id"]) == ("create", "i1")
    assert "status" not in old[2]
    assert [event["Type"] for event in ended("1.45")[1]] == ["container", "volume"]
    assert ended("1.56", "application/json-seq")[0] == "application/json-seq"


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("GET", "/nodes", 503, "This node is not a swarm manager."),
        ("POST", "/services/create", 503, "This node is not a swarm manager."),
        ("POST", "/swarm/init", 501, "cannot form a swarm yet"),
        ("POST", "/swarm/leave", 503, "This node is not part of a swarm"),
        ("GET", "/plugins/a/b:c/json", 404, 'plugin "a/b:c" not found'),
        ("GET", "/events?filters=%7B%22a%22:[%22b%22]%7D", 400, "invalid filter 'a'"),
        ("GET", "/events?since=9&until=5", 400, "cannot be after"),
    ],
)
def test_what_there_is_not_is_said(
    served: Served, method: str, path: str, status: int, message: str
) -> None:
    answer = served.request(method, path)
    assert answer.status == status
    assert message in answer.message


def test_there_are_no_plugins(served: Served) -> None:
    assert served.get("/plugins").document == []
