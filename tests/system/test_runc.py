"""The main stories on another OCI runtime: what runs by runc is kept, entered and ended alike."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from docker.models.containers import Container
from tests.support.engine import PATIENCE, Engine
from tests.system.conftest import IMAGE, Start, inside

pytestmark = pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed")
RUNC = ("--runtime", "runc")


@pytest.fixture
def begin(start: Start) -> Start:
    """Start a container on runc."""

    def run(*command: str, **options: object) -> Container:
        return start(*command, runtime="runc", **options)

    return run


def wait_for(look: Callable[[], bool], what: str, within: float = 20 * PATIENCE) -> None:
    deadline = time.monotonic() + within
    while not look():
        assert time.monotonic() < deadline, f"it never came to {what}"
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("command", "code", "out"),
    [
        (("echo", "hello"), 0, "hello\n"),
        (("sh", "-c", "exit 7"), 7, ""),
        (("/no/such",), 127, ""),
        (("/etc/passwd",), 126, ""),
    ],
)
def test_what_a_program_says_and_how_it_ends(
    engine: Engine, command: tuple[str, ...], code: int, out: str
) -> None:
    done = engine.docker("run", "--rm", *RUNC, IMAGE, *command, check=False)
    assert (done.returncode, done.stdout) == (code, out)


def test_input_reaches_the_program_and_streams_stay_apart(engine: Engine) -> None:
    words = ("run", "-i", "--rm", *RUNC, IMAGE, "sh", "-c", "cat; echo err >&2")
    done = engine.docker(*words, input="typed\n")
    assert (done.stdout, done.stderr) == ("typed\n", "err\n")


def test_a_terminal_is_one(engine: Engine) -> None:
    done = engine.docker("run", "-t", "--rm", *RUNC, IMAGE, "sh", "-c", "tty; stty size")
    assert done.stdout.splitlines()[0] == "/dev/pts/0"


def test_further_programs_come_and_go(engine: Engine, begin: Start) -> None:
    container = begin(environment={"A": "b"}, working_dir="/tmp")
    assert inside(container, "sh", "-c", "echo $A; pwd") == "b\n/tmp"
    done = engine.docker("exec", container.id, "sh", "-c", "exit 9", check=False)
    assert done.returncode == 9
    assert engine.docker("exec", "-i", container.id, "cat", input="x").stdout == "x"
    assert engine.docker("exec", "-u", "1000:5", container.id, "id", "-u").stdout == "1000\n"
    assert engine.docker("exec", "-t", container.id, "tty").stdout.startswith("/dev/pts/")


def test_output_is_kept(engine: Engine, begin: Start) -> None:
    container = begin("sh", "-c", "echo out; echo err >&2; sleep 600")
    wait_for(lambda: len(container.logs().splitlines()) == 2, "two lines")
    done = engine.docker("logs", container.id)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_stop_asks_first_and_a_kill_does_not(begin: Start) -> None:
    asked = begin("sh", "-c", "trap 'echo asked; exit 3' TERM; echo ready; while :; do :; done")
    wait_for(lambda: b"ready" in asked.logs(), "ready")
    asked.stop(timeout=20)
    asked.reload()
    assert asked.attrs["State"]["ExitCode"] == 3
    assert asked.logs() == b"ready\nasked\n"
    killed = begin()
    killed.kill()
    assert killed.wait()["StatusCode"] == 137
    for _ in range(3):
        killed.restart(timeout=0)
        killed.reload()
        assert killed.status == "running"


def test_a_pause_freezes_it(begin: Start) -> None:
    container = begin("sh", "-c", "while :; do echo x; sleep 0.01; done")
    wait_for(lambda: bool(container.logs()), "output")
    container.pause()
    time.sleep(0.5)  # what it had written before may still be on its way
    kept = container.logs()
    time.sleep(0.1)
    assert container.logs() == kept
    container.unpause()
    wait_for(lambda: container.logs() != kept, "more output")


def test_it_is_measured_and_its_processes_are_listed(begin: Start) -> None:
    container = begin()
    stats = container.stats(stream=False)
    assert stats["memory_stats"]["usage"] > 0
    assert stats["pids_stats"]["current"] == 1
    assert container.top()["Processes"][0][-1] == "sleep 3600"


def test_files_go_in_and_out(begin: Start) -> None:
    container = begin()
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo("file")
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"text"))
        assert container.put_archive("/tmp", buffer.getvalue())
    assert inside(container, "cat", "/tmp/file") == "text"
    pieces, told = container.get_archive("/tmp/file")
    assert told["size"] == 4
    assert b"text" in b"".join(pieces)
    assert {"Path": "/tmp/file", "Kind": 1} in container.diff()


def test_its_health_is_looked_after(begin: Start) -> None:
    check = {"test": ["CMD", "test", "-e", "/tmp/well"], "interval": 10**8, "retries": 1}
    container = begin(healthcheck=check)

    def health() -> str:
        container.reload()
        found: str = container.attrs["State"]["Health"]["Status"]
        return found

    wait_for(lambda: health() == "unhealthy", "unhealthy")
    inside(container, "touch", "/tmp/well")
    wait_for(lambda: health() == "healthy", "healthy")


def test_a_small_init_reaps_what_nobody_waits_for(begin: Start) -> None:
    container = begin("sleep", "600", init=True)
    assert inside(container, "cat", "/proc/1/comm") == "docker-init"
    inside(container, "sh", "-c", "(sleep 0.05 &)")
    left = ("sh", "-c", "! grep -l '^State:.Z' /proc/[0-9]*/status")
    wait_for(lambda: container.exec_run(list(left)).exit_code == 0, "no zombie")
    container.stop(timeout=10)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 143


def test_limits_hold_and_can_be_changed(engine: Engine, begin: Start) -> None:
    container = begin(mem_limit="32m", pids_limit=20, nano_cpus=500_000_000)
    inspected = container.attrs["HostConfig"]
    assert (inspected["Memory"], inspected["PidsLimit"]) == (32 << 20, 20)
    assert container.stats(stream=False)["memory_stats"]["limit"] == 32 << 20
    script = "for n in $(seq 40); do sleep 5 & done 2>/dev/null; wait"
    done = engine.docker("exec", container.id, "sh", "-c", script, check=False)
    assert done.returncode
    container.update(mem_limit="64m", memswap_limit="64m")
    assert container.stats(stream=False)["memory_stats"]["limit"] == 64 << 20


def test_too_much_memory_is_told_of(engine: Engine, name: str) -> None:
    hog = ("sh", "-c", "tail /dev/zero")
    limits = ("--memory", "16m", "--memory-swap", "16m")
    engine.docker("run", "--name", name, *RUNC, *limits, IMAGE, *hog, check=False)
    (shown,) = json.loads(engine.docker("inspect", name).stdout)
    assert (shown["State"]["ExitCode"], shown["State"]["OOMKilled"]) == (137, True)
    engine.docker("rm", name)


def test_the_kernel_sees_what_was_asked_for(begin: Start) -> None:
    container = begin(
        cap_drop=["ALL"],
        cap_add=["CHOWN"],
        read_only=True,
        user="1000:7",
        group_add=["29"],
        hostname="named",
        tmpfs={"/scratch": "size=1m"},
        security_opt=["no-new-privileges"],
    )
    status = dict(
        line.split(":", 1) for line in inside(container, "cat", "/proc/1/status").splitlines()
    )
    assert int(status["CapBnd"], 16) == 1
    assert int(status["CapInh"], 16) == int(status["CapEff"], 16) == 0
    assert status["Seccomp"].strip() == "2"
    assert status["NoNewPrivs"].strip() == "1"
    assert status["Groups"].split() == ["7", "29"]
    assert inside(container, "hostname") == "named"
    assert container.exec_run(["touch", "/x"]).exit_code
    assert inside(container, "df", "/scratch").split()[-5] == "1024"


def test_its_port_is_reached(engine: Engine, begin: Start) -> None:
    container = begin("nc", "-ll", "-p", "80", "-e", "echo", "hello", ports={"80/tcp": None})
    at = container.attrs["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    other = ("run", "--rm", *RUNC, IMAGE, "sh", "-c", f"nc -w 5 {at} 80 < /dev/null")
    wait_for(lambda: engine.docker(*other, check=False).stdout == "hello\n", "an answer")


@pytest.fixture
def apart(own_engine: Engine) -> Engine:
    own_engine.boxship("image", "bootstrap", "busybox")
    return own_engine


def test_it_outlives_a_daemon_that_is_killed(apart: Engine) -> None:
    name = "keeps-running"
    script = "while :; do date +%s%N; sleep 0.05; done"
    apart.docker("run", "-d", "--name", name, *RUNC, IMAGE, "sh", "-c", script)
    (before,) = json.loads(apart.docker("inspect", name).stdout)
    apart.kill()
    apart.start()
    (after,) = json.loads(apart.docker("inspect", name).stdout)
    assert after["State"]["Pid"] == before["State"]["Pid"]
    assert Path(f"/proc/{after['State']['Pid']}").exists()
    assert apart.docker("exec", name, "echo", "in").stdout == "in\n"
    apart.docker("kill", name)
    assert apart.docker("wait", name).stdout == "137\n"
    apart.docker("rm", name)


def test_a_keeper_that_is_killed_leaves_nothing_of_it(apart: Engine) -> None:
    """What the runtime keeps is removed by the daemon then, and it starts again."""
    name = "lost"
    apart.docker("run", "-d", "--name", name, *RUNC, IMAGE, "sleep", "600")
    (shown,) = json.loads(apart.docker("inspect", name).stdout)
    status = Path(f"/proc/{shown['State']['Pid']}/status").read_text()
    keeper = int(status.split("PPid:")[1].split()[0])
    os.kill(keeper, signal.SIGKILL)
    assert apart.docker("wait", name).stdout == "137\n"
    assert not os.listdir(apart.root / "x/runtime/runc")
    apart.docker("start", name)
    apart.docker("rm", "-f", name)
    assert not os.listdir(apart.root / "x/runtime/runc")


def test_a_runtime_that_does_not_answer_holds_up_nobody_else(
    own_engine: Engine, tmp_path: Path
) -> None:
    """Its start waits, until the command has ended or its time is over; all else goes on."""
    program = tmp_path / "silent"
    program.write_text('#!/bin/sh\necho $$ >> "$0.pids"\nexec sleep 3600\n')
    program.chmod(0o755)
    own_engine.stop()
    own_engine.flags = ("--add-runtime", f"silent={program}")
    own_engine.start()
    own_engine.boxship("image", "bootstrap", "busybox")
    stuck = own_engine.docker("create", "--runtime", "silent", IMAGE, "true").stdout.strip()
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(own_engine.docker, "start", stuck, check=False)
        pids = Path(f"{program}.pids")
        wait_for(pids.exists, "the runtime's call", 60)
        done = own_engine.docker("run", "--rm", IMAGE, "echo", "there")
        assert done.stdout == "there\n"
        assert stuck in own_engine.docker("ps", "-aq", "--no-trunc").stdout
        state = own_engine.docker("inspect", "-f", "{{.State.Status}}", stuck).stdout
        assert state == "created\n"
        assert not starting.done()
        while not starting.done():  # it is called once more, to delete what there may be
            for pid in pids.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            time.sleep(0.05)
        assert "OCI runtime create failed" in starting.result().stderr
    own_engine.docker("rm", "-f", stuck)
    assert not list((own_engine.root / "x").glob("c/*/oci"))
