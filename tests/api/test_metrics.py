"""The metrics page and the debug pages of a whole daemon."""

from __future__ import annotations

import io
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

import docker
import pytest
from tests.support.engine import Engine

from boxship.daemon import metering
from boxship.daemon.config import BadConfiguration
from boxship.lib import metrics

FAILED = {
    "dockerfile_empty_error": 1,
    "unknown_instruction_error": 1,
    "build_target_not_reachable_error": 1,
    "dockerfile_syntax_error": 0,
    "build_canceled": 0,
}


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        number: int = made.getsockname()[1]
        return number


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


def fetch(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as failure:
        return failure.code, failure.read().decode()


def values(text: str) -> Iterator[tuple[str, float]]:
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            yield name, float(value)


def test_numbers_are_collected_under_dockers_names(own_engine: Engine, port: int) -> None:
    own_engine.stop()
    own_engine.flags = ("--metrics-addr", f"127.0.0.1:{port}")
    own_engine.start()
    client = own_engine.api()
    client.info()
    with pytest.raises(docker.errors.ImageNotFound):
        client.containers.create("absent")
    for text in (b"", b"FROM scratch\nNONSENSE x\n"):
        with pytest.raises((docker.errors.BuildError, docker.errors.APIError)):
            client.images.build(fileobj=io.BytesIO(text))
    with pytest.raises((docker.errors.BuildError, docker.errors.APIError)):
        client.images.build(fileobj=io.BytesIO(b"FROM scratch\n"), target="absent")
    client.close()
    status, text = fetch(port, "/metrics")
    assert status == 200
    found = dict(values(text))
    for why, count in FAILED.items():
        assert found[f'builder_builds_failed_total{{reason="{why}"}}'] == count
    assert found["builder_builds_triggered_total"] == 3
    engine = "engine_daemon_"
    for action in ("allocate", "release"):
        assert found[f'{engine}network_actions_seconds_count{{action="{action}"}}'] == 0
    assert found[f'{engine}host_info_functions_seconds_count{{function="system_info"}}'] == 1
    for action in ("changes", "commit", "create", "delete", "start"):
        name = f'{engine}container_actions_seconds_bucket{{action="{action}",le="+Inf"}}'
        assert found[name] == 0  # what fails is not counted
    for state in ("running", "paused", "stopped"):
        assert found[f'{engine}container_states_containers{{state="{state}"}}'] == 0
    assert found[f"{engine}engine_cpus_cpus"] >= 1
    assert found[f"{engine}engine_memory_bytes"] > 1 << 28
    assert found[f"{engine}health_checks_total"] == 0
    assert 5 < found["process_open_fds"] < found["process_max_fds"]
    assert found["process_resident_memory_bytes"] > 1 << 20
    about = next(line for line in text.splitlines() if line.startswith(f"{engine}engine_info"))
    assert 'os_type="linux"' in about
    assert text.count("# TYPE ") == text.count("# HELP ") > 15
    assert fetch(port, "/")[0] == 404
    assert fetch(port, "/metrics", "POST")[0] == 405
    assert fetch(port, "/containers/json")[0] == 404


@pytest.mark.parametrize("debug", [True, False])
def test_debug_pages_are_there_in_debug_mode_only(own_engine: Engine, debug: bool) -> None:
    if debug:
        own_engine.stop()
        own_engine.flags = ("--debug",)
        own_engine.start()
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(60)
        made.connect(own_engine.socket)
        made.sendall(
            b"GET /debug/vars HTTP/1.1\r\nHost: x\r\n\r\n"
            b"GET /debug/pprof/heap HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        said = b""
        while data := made.recv(65536):
            said += data
    first, second = said.split(b"HTTP/1.1 ")[1:]
    assert first[:3] == (b"200" if debug else b"404")
    assert second[:3] == (b"501" if debug else b"404")
    body = json.loads(first.partition(b"\r\n\r\n")[2])
    if debug:
        assert "--debug" in body["cmdline"]
        assert "has no pprof profiles" in second.decode()
    else:
        assert body["message"] == "page not found"


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:x", "127.0.0.1:70000"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with ExitStack() as undo, pytest.raises(BadConfiguration, match="not a port"):
        metering.bind(address, undo)


def test_times_are_counted_in_buckets() -> None:
    made = metrics.Histogram("x_seconds", "What\nit is", "of", ["a"])
    for seconds in (0.005, 0.3, 7, 100):
        made.note("a", seconds)
    made.note('b"\\', 1)
    text = metrics.page([made]).decode()
    assert text.startswith("# HELP x_seconds What\\nit is\n# TYPE x_seconds histogram\n")
    found = dict(values(text))
    assert found['x_seconds_bucket{of="a",le="0.005"}'] == 1
    assert found['x_seconds_bucket{of="a",le="0.5"}'] == 2
    assert found['x_seconds_bucket{of="a",le="10"}'] == 3
    assert found['x_seconds_bucket{of="a",le="+Inf"}'] == 4
    assert found['x_seconds_sum{of="a"}'] == pytest.approx(107.305)
    assert found['x_seconds_count{of="b\\"\\\\"}'] == 1
