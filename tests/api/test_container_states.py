"""What the verbs do, and say, in each state of a container: compared with Docker, word for word."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.api.test_container_routes import IMAGE
from tests.support.engine import PATIENCE, Engine
from tests.support.rawapi import Api

LOOP = ["sh", "-c", "trap 'exit 5' HUP; echo ready; while :; do sleep 0.1; done"]
Make = Callable[..., str]


@pytest.fixture
def make(api: Api, request: pytest.FixtureRequest) -> Iterator[Make]:
    """Make and start a container; its name comes back."""
    names: list[str] = []

    def made(host: dict[str, Any] | None = None, *, start: bool = True, **config: Any) -> str:
        name = f"state-{abs(hash(request.node.nodeid)) % 10**9}-{len(names)}"
        body = {"Image": IMAGE, "Cmd": ["sleep", "600"], "StopTimeout": 0, **config}
        body["HostConfig"] = {"NetworkMode": "none", **(host or {})}
        status, answer = api.ask("POST", f"/containers/create?name={name}", body)
        assert status == 201, answer
        names.append(name)
        if start:
            assert api.status("POST", f"/containers/{name}/start") == 204
        return name

    yield made
    for name in names:
        api.ask("DELETE", f"/containers/{name}?force=1&v=1")


def state(api: Api, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.ask("GET", f"/containers/{name}/json")[1]["State"]
    return found


def wait_for(api: Api, name: str, wanted: str) -> dict[str, Any]:
    deadline = time.monotonic() + 20 * PATIENCE
    while (found := state(api, name))["Status"] != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def wait_ready(api: Api, name: str) -> None:
    deadline = time.monotonic() + 20 * PATIENCE
    while b"ready" not in api.ask("GET", f"/containers/{name}/logs?stdout=1")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def actions(engine: Engine, name: str) -> list[str]:
    """Return what was told of a container, up to now."""
    told = engine.docker(
        "events", "--since", "0", "--until", f"{time.time():.9f}", "--filter", f"container={name}",
        "--format", "{{.Action}}",
    )  # fmt: skip
    return told.stdout.split()


def listed(api: Api, query: str = "", **filters: list[str]) -> list[str]:
    told = urllib.parse.quote(json.dumps(filters))
    status, found = api.ask("GET", f"/containers/json?filters={told}{query}")
    assert status == 200, found
    return [one["Names"][0][1:] for one in found]


def test_when_the_last_run_ended_is_told_during_the_next(api: Api, make: Make) -> None:
    name = make()
    assert state(api, name)["FinishedAt"].startswith("0001-")
    assert api.status("POST", f"/containers/{name}/restart?t=0") == 204
    found = state(api, name)
    assert "0001" < found["FinishedAt"] < found["StartedAt"]


def test_what_waits_for_its_restart_has_been_started_already(api: Api, make: Make) -> None:
    name = make({"RestartPolicy": {"Name": "always"}}, Cmd=["false"])
    wait_for(api, name, "restarting")
    assert api.status("POST", f"/containers/{name}/start") == 304


@pytest.mark.parametrize(
    ("signal", "stop_signal", "restarts"),
    [("HUP", "", False), ("HUP", "TERM", True), ("HUP", "HUP", False)],
)
def test_a_signal_that_ends_it_by_whichever_is_meant_for_that(
    api: Api, make: Make, signal: str, stop_signal: str, restarts: bool
) -> None:
    """Where the image names no signal for stopping, each that is sent counts as one."""
    host = {"RestartPolicy": {"Name": "always"}}
    name = make(host, Cmd=LOOP, StopSignal=stop_signal)
    wait_ready(api, name)
    assert api.status("POST", f"/containers/{name}/kill?signal={signal}") == 204
    if restarts:
        deadline = time.monotonic() + 20 * PATIENCE
        while not api.ask("GET", f"/containers/{name}/json")[1]["RestartCount"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    else:
        assert wait_for(api, name, "exited")["ExitCode"] == 5


def test_a_frozen_container_goes_on_to_hear_a_signal(engine: Engine, api: Api, make: Make) -> None:
    name = make(Cmd=LOOP)
    wait_ready(api, name)
    assert api.status("POST", f"/containers/{name}/pause") == 204
    assert api.status("POST", f"/containers/{name}/kill?signal=HUP") == 204
    wait_for(api, name, "exited")
    told = actions(engine, name)
    assert [one for one in told if one in ("pause", "kill", "unpause", "die")] == [
        "pause", "kill", "unpause", "die",
    ]  # fmt: skip


def test_one_with_a_signal_of_its_own_stays_frozen_for_others(api: Api, make: Make) -> None:
    name = make(StopSignal="TERM")
    assert api.status("POST", f"/containers/{name}/pause") == 204
    assert api.status("POST", f"/containers/{name}/kill?signal=WINCH") == 204
    assert state(api, name)["Status"] == "paused"


def test_a_program_without_a_terminal_may_be_told_of_a_size(api: Api, make: Make) -> None:
    assert api.status("POST", f"/containers/{make()}/resize?h=20&w=30") == 200


def test_refusals_say_what_was_refused(api: Api, make: Make) -> None:
    name = make({"AutoRemove": True, "CpuPeriod": 50000})
    identifier = api.ask("GET", f"/containers/{name}/json")[1]["Id"]
    for verb, body, wanted, said in (
        ("kill?signal=NONE", None, 400, f"cannot kill container: {name}: invalid signal: NONE"),
        ("rename?name=a%20b", None, 400, "Error when allocating new name: Invalid container name"),
        (
            "update", {"RestartPolicy": {"Name": "always"}}, 409,
            f"Cannot update container {identifier}: Restart policy cannot be updated because",
        ),
        (
            "update", {"NanoCpus": 5 * 10**8}, 409,
            f"Cannot update container {identifier}: Conflicting options: Nano CPUs cannot be "
            "updated as CPU Period has already been set",
        ),
    ):  # fmt: skip
        status, answer = api.ask("POST", f"/containers/{name}/{verb}", body)
        assert (status, answer["message"].startswith(said)) == (wanted, True), answer


def test_an_empty_word_is_no_program(api: Api, make: Make) -> None:
    name = make(start=False, Cmd=[""])
    status, answer = api.ask("POST", f"/containers/{name}/start")
    assert (status, state(api, name)["ExitCode"]) == (400, 127)
    assert 'exec: "": executable file not found in $PATH' in answer["message"]


def test_a_folder_without_devices_is_no_device(api: Api, make: Make) -> None:
    devices = [{"PathOnHost": "/etc", "PathInContainer": "/dev/x", "CgroupPermissions": "rwm"}]
    name = make({"Devices": devices}, start=False)
    status, answer = api.ask("POST", f"/containers/{name}/start")
    assert status == 400
    assert answer["message"].endswith('custom device "/etc": not a device node')


def test_only_a_state_that_is_asked_for_shows_what_does_not_run(api: Api, make: Make) -> None:
    first, runs = make(Cmd=["sh", "-c", "exit 77"]), make()
    ended = make(Cmd=["sh", "-c", "exit 77"])
    for name in (first, ended):
        wait_for(api, name, "exited")
    assert listed(api, exited=["77"]) == []
    assert listed(api, "&all=1", exited=["77"]) == [ended, first]
    assert listed(api, since=[first]) == [runs]
    assert ended in listed(api, status=["exited"])
    assert ended not in listed(api, status=[])


def test_an_image_that_lost_its_name_is_shown_by_its_id(api: Api, make: Make) -> None:
    assert api.status("POST", f"/images/{IMAGE}/tag?repo=once&tag=1") == 201
    name = make(Image="once:1")

    def shown() -> str:
        found = api.ask("GET", "/containers/json")[1]
        return next(str(one["Image"]) for one in found if one["Names"] == [f"/{name}"])

    assert shown() == "once:1"
    assert api.status("DELETE", "/images/once:1") == 200
    assert shown() == api.ask("GET", f"/containers/{name}/json")[1]["Image"]
    assert api.status("POST", f"/images/{IMAGE}/tag?repo=once&tag=1") == 201
    assert shown() == "once:1"
    api.ask("DELETE", "/images/once:1")


def test_lists_that_nobody_gave_are_null_and_empty_ones_empty(api: Api, make: Make) -> None:
    members = ("Dns", "Devices", "Ulimits", "BlkioDeviceReadBps", "PortBindings")
    for given, shown in (({}, None), ({one: [] for one in members[:4]}, [])):
        host = api.ask("GET", f"/containers/{make(given, start=False)}/json")[1]["HostConfig"]
        assert all(host[one] == shown for one in members[:4]), host
    bindings = {"80/tcp": None, "81/tcp": []}
    found = api.ask("GET", f"/containers/{make({'PortBindings': bindings}, start=False)}/json")[1]
    assert found["HostConfig"]["PortBindings"] == bindings


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ({"PidMode": "host"}, ["label=disable"]),
        (
            {"Privileged": True, "SecurityOpt": ["seccomp=unconfined"]},
            ["seccomp=unconfined", "label=disable"],
        ),
        ({"IpcMode": "host", "SecurityOpt": ["label=disable"]}, ["label=disable"]),
        ({}, None),
    ],
)
def test_who_sees_the_hosts_processes_has_no_label(
    api: Api, make: Make, host: dict[str, Any], shown: list[str] | None
) -> None:
    found = api.ask("GET", f"/containers/{make(host, start=False)}/json")[1]
    assert found["HostConfig"]["SecurityOpt"] == shown


def test_who_shares_a_network_is_called_as_the_other(engine: Engine, make: Make) -> None:
    other = make(Hostname="their-name", Domainname="their.domain")
    said = engine.docker(
        "run", "--rm", "--network", f"container:{other}", IMAGE,
        "sh", "-c", "hostname; echo $HOSTNAME; cat /proc/sys/kernel/domainname",
    )  # fmt: skip
    assert said.stdout.split() == ["their-name", "their-name", "their.domain"]


def test_an_empty_home_is_none(engine: Engine) -> None:
    said = engine.docker("run", "--rm", "-e", "HOME=", IMAGE, "sh", "-c", "echo $HOME")
    assert said.stdout == "/root\n"


def test_files_of_a_read_only_container_are_read_only_too(engine: Engine) -> None:
    script = "for f in hosts hostname resolv.conf; do echo x >> /etc/$f; done 2>&1 | grep -c only"
    said = engine.docker("run", "--rm", "--read-only", IMAGE, "sh", "-c", script)
    assert said.stdout == "3\n"


@pytest.mark.parametrize("options", [["--rm"], ["-d"]])
def test_a_start_that_fails_is_told_once(engine: Engine, make: Make, options: list[str]) -> None:
    """The client waits for the end while it starts: it must not hear of the failure there too."""
    taken = make({"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostPort": ""}]}})
    at = engine.docker("port", taken, "80").stdout.split()[0].rpartition(":")[2]
    name = f"{taken}-again"
    try:
        done = engine.docker(
            "run", *options, "--name", name, "-p", f"{at}:80", IMAGE, "true", check=False
        )
    finally:
        engine.docker("rm", "-f", name, check=False)
    assert done.returncode == 125
    assert done.stderr.count("port is already allocated") == 1, done.stderr


def test_disk_usage_shows_what_lists_show(api: Api, make: Make) -> None:
    name = make()
    for version, has_descriptor, has_virtual_size in (
        ("1.41", 0, 1),
        ("1.45", 0, 0),
        ("1.51", 1, 0),
    ):
        found = api.ask("GET", f"/v{version}/system/df")[1]
        images = found["Images"]
        assert all(
            ("Descriptor" in one, "VirtualSize" in one) == (has_descriptor, has_virtual_size)
            for one in images
        )
        (shown,) = (one for one in found["Containers"] if one["Names"] == [f"/{name}"])
        assert shown["Status"].startswith("Up ")


def test_one_sample_alone_is_for_clients_that_know_it(api: Api, make: Make) -> None:
    name = make()
    for version, has_earlier in (("1.40", True), ("1.41", False)):
        at = f"/v{version}/containers/{name}/stats?stream=0&one-shot=1"
        earlier = api.ask("GET", at)[1]["precpu_stats"]
        assert bool(earlier.get("system_cpu_usage")) is has_earlier


def test_who_attaches_to_no_stream_has_seen_it_all(engine: Engine, make: Make) -> None:
    name, once = make(), Api(engine)
    assert once.ask("POST", f"/containers/{name}/attach?stream=1") == (200, b"")
    once.close()


def test_who_wants_no_network_is_in_none(api: Api, make: Make) -> None:
    name = make({"NetworkMode": "bridge"}, start=False, NetworkDisabled=True)
    assert api.ask("GET", f"/containers/{name}/json")[1]["NetworkSettings"]["Networks"] == {}
    assert api.status("POST", f"/containers/{name}/start") == 204
    networks = api.ask("GET", f"/containers/{name}/json")[1]["NetworkSettings"]["Networks"]
    assert "bridge" not in networks
