"""What containers use, and their processes, as docker and docker-py ask for it."""

from __future__ import annotations

import json
import threading
import time
import urllib.parse

import docker
import pytest
from tests.support.engine import PATIENCE, Engine
from tests.system.conftest import IMAGE, Start

NEVER = "0001-01-01T00:00:00Z"
BUSY = ("sh", "-c", "while :; do :; done")


def test_one_sample_comes_with_the_one_before(start: Start) -> None:
    container = start(*BUSY, mem_limit="64m")
    sample = container.stats(stream=False)
    now, before = sample["cpu_stats"], sample["precpu_stats"]
    assert now["cpu_usage"]["total_usage"] > before["cpu_usage"]["total_usage"] > 0
    assert now["system_cpu_usage"] > before["system_cpu_usage"] > 0
    assert sample["preread"] < sample["read"]
    assert sample["memory_stats"]["limit"] == 64 << 20
    assert sample["pids_stats"]["current"] == 1
    assert sample["networks"]["eth0"]["rx_bytes"] >= 0
    assert (sample["id"], sample["name"]) == (container.id, f"/{container.name}")


def test_one_shot_has_nothing_to_compare_with(start: Start) -> None:
    sample = start().stats(stream=False, one_shot=True)
    assert sample["preread"] == NEVER
    assert sample["cpu_stats"]["cpu_usage"]["total_usage"] > 0


def test_a_stream_cannot_be_one_shot(api: docker.DockerClient, start: Start) -> None:
    path = f"/containers/{start().id}/stats?stream=1&one-shot=1"
    answer = api.api.get(api.api.base_url + "/v1.44" + path)
    assert answer.status_code == 400
    assert answer.json() == {"message": "cannot have stream=true and one-shot=true"}


def test_a_stream_goes_on_until_the_container_is_removed(start: Start) -> None:
    container = start()
    reads = []
    for sample in container.stats(decode=True):
        reads.append(sample["read"])
        if len(reads) == 3:
            container.kill()
        if sample["read"] == NEVER:
            container.remove()
    assert len(set(reads[:3])) == 3
    assert reads[-1] == NEVER


def test_many_watchers_see_the_same_samples(start: Start) -> None:
    container = start()
    seen: list[list[str]] = [[] for _ in range(4)]

    def watch(reads: list[str]) -> None:
        for sample in container.stats(decode=True):
            reads.append(sample["read"])
            if len(reads) == 4:
                return

    threads = [threading.Thread(target=watch, args=(reads,)) for reads in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30 * PATIENCE)
    common = set.intersection(*map(set, seen))
    assert len(common) >= 2


def test_a_container_that_does_not_run_uses_nothing(api: docker.DockerClient, name: str) -> None:
    container = api.containers.create(IMAGE, "true", name=name)
    try:
        sample = container.stats(stream=False)
        assert (sample["read"], sample["pids_stats"]) == (NEVER, {})
        assert sample["memory_stats"] == {}
    finally:
        container.remove()


def test_the_host_network_is_not_the_containers(start: Start) -> None:
    assert not start(network_mode="host").stats(stream=False, one_shot=True).get("networks")


def test_docker_shows_all(engine: Engine, start: Start) -> None:
    container = start()
    lines = engine.docker("stats", "--no-stream", "--format", "{{json .}}").stdout.splitlines()
    shown = [line for line in map(json.loads, lines) if line["Name"] == container.name]
    assert shown[0]["PIDs"] == "1"


def test_top_shows_the_processes_as_the_host_sees_them(engine: Engine, start: Start) -> None:
    container = start("sh", "-c", "sleep 3601 & sleep 3602")
    deadline = time.monotonic() + 20 * PATIENCE
    while len((shown := container.top())["Processes"]) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shown["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    commands = {row[-1] for row in shown["Processes"]}
    assert {"sleep 3601", "sleep 3602"} <= commands
    assert str(container.attrs["State"]["Pid"]) in {row[1] for row in shown["Processes"]}
    chosen = engine.docker("top", container.id, "-o", "pid,args").stdout.splitlines()
    assert chosen[0].split() == ["PID", "COMMAND"]
    assert any(line.endswith("sleep 3602") for line in chosen)


def test_top_of_a_frozen_container(start: Start) -> None:
    container = start()
    container.pause()
    assert container.top()["Processes"][0][-1] == "sleep 3600"
    container.unpause()


def test_top_needs_a_process(api: docker.DockerClient, name: str) -> None:
    container = api.containers.create(IMAGE, "true", name=name)
    try:
        with pytest.raises(docker.errors.APIError) as refused:
            container.top()
        assert refused.value.explanation == f"container {container.id} is not running"
        assert refused.value.status_code == 409
    finally:
        container.remove()


def test_columns_without_a_pid_are_refused(api: docker.DockerClient, start: Start) -> None:
    words = urllib.parse.quote("-o args")
    url = f"{api.api.base_url}/v1.44/containers/{start().id}/top?ps_args={words}"
    answer = api.api.get(url)
    assert answer.status_code in (400, 500)
    assert "PID" in answer.json()["message"]
