"""The daemon as a program: its command line, its sockets, its signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support import certificates
from tests.support.engine import CHECKOUT, Engine
from tests.support.remote import free_port

pytestmark = pytest.mark.root
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT / "src")}


def boxshipd(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "boxship.daemon.main", *words],
        env={**ENVIRONMENT, **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def root() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="bxd-") as folder:
        yield Path(folder)


@pytest.fixture
def daemon(root: Path) -> Iterator[Engine]:
    engine = Engine(root, 901, ["--bridge", "none", "--iptables=false"])
    yield engine
    engine.stop()


def test_a_configuration_is_validated(root: Path) -> None:
    good, bad = root / "good.json", root / "bad.json"
    good.write_text('{"debug": true}')
    bad.write_text('{"bogus": true}')
    done = boxshipd("--validate", "--config-file", str(good))
    assert (done.returncode, done.stderr) == (0, "configuration OK\n")
    done = boxshipd("--validate", "--config-file", str(bad))
    assert done.returncode == 1
    assert "the following directives don't match any configuration option: bogus" in done.stderr


def test_an_unknown_flag_is_a_usage_error() -> None:
    done = boxshipd("--bogus")
    assert done.returncode == 125
    assert done.stderr == "unknown flag: --bogus\nSee 'boxshipd --help'.\n"


def test_help_and_version() -> None:
    assert "--data-root" in boxshipd("--help").stdout
    assert boxshipd("-v").stdout.startswith("Boxship version ")


def test_plain_tcp_is_refused_unless_it_is_forced(root: Path) -> None:
    words = [f"--data-root={root}/d", f"--exec-root={root}/x", "--pidfile="]
    done = boxshipd(*words, "-H", "tcp://127.0.0.1:0")
    assert done.returncode == 1
    assert "anyone who connects would be root" in done.stderr


def test_the_socket_is_for_root_and_a_group(daemon: Engine) -> None:
    daemon.start()
    found = os.stat(daemon.socket)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o660, 0)
    assert Path(f"{daemon.root}/pid").read_text().strip() == str(daemon.process.pid)  # type: ignore[union-attr]
    daemon.stop()
    assert not os.path.exists(daemon.socket)
    assert not os.path.exists(f"{daemon.root}/pid")


def test_a_stale_socket_is_taken_over_and_a_live_one_is_not(daemon: Engine, root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(daemon.socket)
    daemon.start()
    second = boxshipd(
        f"--data-root={root}/d2", f"--exec-root={root}/x2", "--pidfile=", "-H", daemon.host
    )
    assert second.returncode == 1
    assert "another daemon answers on it" in second.stderr
    assert daemon.api().ping()


def test_something_else_at_the_sockets_path_is_left_alone(root: Path) -> None:
    path = root / "precious"
    path.write_text("keep me")
    done = boxshipd(
        f"--data-root={root}/d", f"--exec-root={root}/x", "--pidfile=", "-H", f"unix://{path}"
    )
    assert done.returncode == 1
    assert path.read_text() == "keep me"


def test_a_data_root_has_one_daemon(daemon: Engine, root: Path) -> None:
    daemon.start()
    second = boxshipd(
        f"--data-root={root}/data", f"--exec-root={root}/x2", "--pidfile=", f"-Hunix://{root}/s2"
    )
    assert second.returncode == 1
    assert "is in use by another daemon" in second.stderr


def test_a_hangup_reloads_and_says_so(daemon: Engine, root: Path) -> None:
    daemon.start()
    api = daemon.api()
    since = time.time() - 1
    (root / "daemon.json").write_text('{"labels": ["a=b"], "debug": true}')
    os.kill(daemon.process.pid, signal.SIGHUP)  # type: ignore[union-attr]
    deadline = time.monotonic() + 30
    while api.info()["Labels"] != ["a=b"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert api.info()["Debug"] is True
    (event,) = api.events(since=since, until=time.time(), decode=True)
    assert (event["Type"], event["Action"]) == ("daemon", "reload")
    assert json.loads(event["Actor"]["Attributes"]["labels"]) == ["a=b"]
    assert api.info()["DefaultRuntime"] == "native"
    (root / "daemon.json").write_text('{"labels": ["a=b"], "default-runtime": "runc"}')
    os.kill(daemon.process.pid, signal.SIGHUP)  # type: ignore[union-attr]
    while api.info()["DefaultRuntime"] != "runc" and time.monotonic() < deadline + 5:
        time.sleep(0.02)
    (root / "daemon.json").write_text('{"labels": ["broken"]}')
    os.kill(daemon.process.pid, signal.SIGHUP)  # type: ignore[union-attr]
    assert api.info()["Labels"] == ["a=b"]


def test_sockets_of_a_service_manager_are_served(root: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(root / "passed"))
    listening.listen()
    words = [sys.executable, "-m", "boxship.daemon.main", f"--data-root={root}/d", "-H", "fd://"]
    words += [f"--exec-root={root}/x", "--pidfile=", "--bridge=none", "--iptables=false"]
    become = (
        "import os,sys; os.environ['LISTEN_PID']=str(os.getpid()); os.dup2(int(sys.argv[1]), 3)"
    )
    become += "; os.set_inheritable(3, True); os.execv(sys.argv[2], sys.argv[2:])"
    process = subprocess.Popen(
        [sys.executable, "-c", become, str(listening.fileno()), *words],
        env={**ENVIRONMENT, "LISTEN_FDS": "1"},
        pass_fds=[listening.fileno()],
    )
    try:
        api = docker.DockerClient(base_url=f"unix://{root}/passed", version="1.41", timeout=20)
        assert api.ping()
        assert api.api.get(api.api._url("/_ping")).headers["Api-Version"] == "1.56"
    finally:
        process.terminate()
        assert process.wait(20) == 0
        listening.close()


def test_tls_serves_known_clients_only(daemon: Engine, root: Path) -> None:
    certificates.make(root)
    port = free_port()
    daemon.flags = [
        *daemon.flags, "-H", f"tcp://127.0.0.1:{port}", "--tlsverify",
        "--tlscacert", f"{root}/ca.pem", "--tlscert", f"{root}/server-cert.pem",
        "--tlskey", f"{root}/server-key.pem",
    ]  # fmt: skip
    daemon.start()
    flags = ["--tlsverify", "--tlscacert", f"{root}/ca.pem", "-H", f"tcp://127.0.0.1:{port}"]
    own = ["--tlscert", f"{root}/cert.pem", "--tlskey", f"{root}/key.pem"]
    words = ["docker", *flags, *own, "version", "--format", "{{.Server.APIVersion}}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "1.56"), done.stderr
    nobody = subprocess.run(
        ["curl", "-s", "--cacert", f"{root}/ca.pem", f"https://localhost:{port}/_ping"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert nobody.returncode != 0
    assert nobody.stdout == b""


def test_secrets_that_clients_send_are_not_logged(daemon: Engine) -> None:
    """Credentials travel in headers, bodies and query strings; the log has none of these."""
    daemon.flags = [*daemon.flags, "-D"]
    daemon.start()
    secret = "canary-4711"
    for method, path in (
        ("POST", "/auth"),
        ("GET", f"/events?since={secret}"),
        ("POST", f"/containers/create?name={secret}&x={secret}"),
        ("POST", f"/images/create?fromImage=nowhere&x={secret}"),
        ("GET", f"/nowhere?token={secret}"),
    ):
        subprocess.run(
            [
                *("curl", "-s", "--unix-socket", daemon.socket, "-X", method),
                *("-H", f"X-Registry-Auth: {secret}", "-H", "Content-Type: application/json"),
                *("-d", f'{{"password": "{secret}", "Env": ["P={secret}"]}}', f"http://d{path}"),
            ],
            capture_output=True,
            check=True,
            timeout=60,
        )
    daemon.stop()
    assert secret not in daemon.log.read_text()


def test_a_daemon_that_builds_nothing_has_no_builder_loaded() -> None:
    """Its modules are a quarter of all: they cost time at every start, and memory for ever."""
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, boxship.daemon.main as main\n"
            "main.route_modules()\n"
            "print(*(name for name in sys.modules if name.startswith('boxship.build.')))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    light = {"traces", "cache", "cache.record", "cache.records", "cache.tables"}
    assert {name.removeprefix("boxship.build.") for name in told.stdout.split()} == light
