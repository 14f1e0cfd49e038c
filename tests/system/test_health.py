"""Health checks as clients see them: states, events, pauses, restarts, and probes gone wrong."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable

import docker
from docker.models.containers import Container
from tests.support.engine import Engine
from tests.system.conftest import Start, inside

SECOND = 1_000_000_000
WITHIN = 20.0  # seconds; generous, since machines are noisy
FIND = "for f in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $f; echo; done"


def check(test: str, **options: int) -> dict[str, object]:
    return {"test": ["CMD-SHELL", test], "interval": SECOND // 5, "retries": 2, **options}


def health(container: Container) -> dict[str, object]:
    container.reload()
    found = container.attrs["State"]["Health"]
    assert isinstance(found, dict)
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        time.sleep(0.05)


def wait_status(container: Container, wanted: str) -> None:
    wait_until(lambda: health(container)["Status"] == wanted)


def test_health_follows_the_probes_and_is_told(engine: Engine, start: Start) -> None:
    since = time.time()
    container = start(healthcheck=check("echo looked; test -e /tmp/ok"))
    wait_status(container, "unhealthy")
    failed = health(container)
    assert failed["FailingStreak"] >= 2  # type: ignore[operator]
    log = failed["Log"]
    assert isinstance(log, list)
    assert (log[-1]["ExitCode"], log[-1]["Output"]) == (1, "looked\n")
    assert "(unhealthy)" in engine.docker("ps").stdout
    inside(container, "touch", "/tmp/ok")
    wait_status(container, "healthy")
    assert health(container)["FailingStreak"] == 0
    shown = engine.docker("ps", "--filter", "health=healthy", "--format", "{{.ID}} {{.Status}}")
    assert container.short_id in shown.stdout
    assert "(healthy)" in shown.stdout
    story = [
        json.loads(line)["Action"]
        for line in engine.docker(
            "events", "--since", str(since), "--until", str(time.time()),
            "-f", f"container={container.id}", "--format", "{{json .}}",
        ).stdout.splitlines()
    ]  # fmt: skip
    told = [action for action in story if action.startswith("health_status")]
    assert told == ["health_status: unhealthy", "health_status: healthy"]
    command = "/bin/sh -c echo looked; test -e /tmp/ok"
    at = story.index(f"exec_create: {command}")
    assert story[at : at + 3] == [f"exec_create: {command}", f"exec_start: {command}", "exec_die"]


def test_a_container_is_starting_until_the_first_verdict(engine: Engine, start: Start) -> None:
    container = start(healthcheck=check("true", interval=60 * SECOND))
    assert health(container) == {"Status": "starting", "FailingStreak": 0, "Log": []}
    assert "(health: starting)" in engine.docker("ps").stdout


def test_probes_are_no_execs_of_the_clients(
    api: docker.DockerClient, engine: Engine, start: Start
) -> None:
    container = start(healthcheck=check("sleep 5"))
    wait_until(lambda: "sleep 5" in engine.docker("top", container.id).stdout)
    container.reload()
    assert not container.attrs["ExecIDs"]


def test_a_probe_runs_as_the_containers_user_with_its_environment(start: Start) -> None:
    container = start(
        healthcheck=check('echo "$(id -u) $WHO $PWD"'),
        user="65534",
        environment={"WHO": "me"},
        working_dir="/tmp",
    )
    wait_status(container, "healthy")
    log = health(container)["Log"]
    assert isinstance(log, list)
    assert log[-1]["Output"] == "65534 me /tmp\n"


def test_a_probe_without_end_is_killed_with_its_children(start: Start) -> None:
    """SEC-117: output is bounded, and a timeout ends whatever the probe started."""
    endless = (
        "(sleep 1234 &) ; sleep 1235 & while :; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"
    )
    container = start(healthcheck=check(endless, timeout=SECOND, interval=3 * SECOND))
    wait_until(lambda: bool(health(container)["Log"]))
    log = health(container)["Log"]
    assert isinstance(log, list)
    assert log[0]["ExitCode"] == -1
    assert log[0]["Output"].startswith("Health check exceeded timeout (1s)")
    assert len(log[0]["Output"]) <= 4096
    left = inside(container, "sh", "-c", FIND).splitlines()
    assert any("sleep 3600" in line for line in left)
    assert not [line for line in left if "sleep 12" in line]


def test_no_probes_while_frozen_and_again_afterwards(engine: Engine, start: Start) -> None:
    container = start(healthcheck=check("true"))
    wait_status(container, "healthy")
    container.pause()
    before = health(container)["Log"]
    time.sleep(0.7)
    assert health(container)["Log"] == before
    container.unpause()
    wait_until(lambda: health(container)["Log"] != before)
    assert health(container)["Status"] == "healthy"


def test_a_command_that_is_not_there_makes_unhealthy(start: Start) -> None:
    options = check("") | {"test": ["CMD", "/no/such/probe"]}
    container = start(healthcheck=options)
    wait_status(container, "unhealthy")
    log = health(container)["Log"]
    assert isinstance(log, list)
    assert log[-1]["ExitCode"] == -1
    assert "/no/such/probe" in log[-1]["Output"]


def test_a_stopped_container_is_not_healthy_and_starts_anew(start: Start) -> None:
    container = start(healthcheck=check("true"))
    wait_status(container, "healthy")
    container.stop(timeout=0)
    assert health(container)["Status"] == "unhealthy"
    container.start()
    wait_status(container, "healthy")


def test_probes_go_on_after_the_daemon_was_started_again(own_engine: Engine) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    own_engine.docker(
        "run", "-d", "--name", "watched", "--health-cmd", "test -e /tmp/ok",
        "--health-interval", "200ms", "--health-retries", "1", "busybox", "sleep", "3600",
    )  # fmt: skip

    def status() -> str:
        return own_engine.docker("inspect", "-f", "{{.State.Health.Status}}", "watched").stdout

    wait_until(lambda: status() == "unhealthy\n")
    own_engine.restart()
    assert status() == "unhealthy\n"
    own_engine.docker("exec", "watched", "touch", "/tmp/ok")
    wait_until(lambda: status() == "healthy\n")


def test_a_probe_that_a_crashed_daemon_left_is_ended(own_engine: Engine) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    own_engine.docker(
        "run", "-d", "--name", "left", "--health-cmd", "sleep 1236 & sleep 1237",
        "--health-interval", "200ms", "busybox", "sleep", "3600",
    )  # fmt: skip

    def probes() -> int:
        pids = own_engine.docker("top", "left").stdout.splitlines()
        return sum(line.split()[-1] in ("1236", "1237") for line in pids)

    own_engine.docker("exec", "-d", "left", "sleep", "1238")  # a client's: it stays
    wait_until(lambda: probes() == 2)
    with contextlib.closing(own_engine.api()) as api:
        rows = api.containers.get("left").top()["Processes"]
        before = {row[1] for row in rows}
        stays = {row[1] for row in rows if row[-1] in ("sleep 3600", "sleep 1238")}
        own_engine.kill()
        own_engine.start()

        def of_before() -> set[str]:
            return {row[1] for row in api.containers.get("left").top()["Processes"]} & before

        wait_until(lambda: of_before() == stays)
    assert len(stays) == 2
