"""`kill -9` of the daemon, the spawner and shims under load: nothing lost, nothing left.

The measure is R1 of the reliability promises: no container lost, no exit code missed, no zombie,
the ledger clean, the daemon answering again within a second.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
import requests
from tests.support.engine import PATIENCE, Engine
from tests.support.waiting import wait_until
from tests.system.conftest import IMAGE, grown, resident

pytestmark = [pytest.mark.root, pytest.mark.timeout(1500)]
GONE = (docker.errors.APIError, docker.errors.DockerException, requests.RequestException, OSError)


@dataclass
class Load:
    """Clients that create, start, exec, read logs, stop and remove, and remember what must hold."""

    engine: Engine
    ending: threading.Event = field(default_factory=threading.Event)
    wrong: list[str] = field(default_factory=list)
    rounds: int = 0

    def run(self, number: int) -> None:
        chance = random.Random(number)
        api = self.client()
        while not self.ending.is_set():
            try:
                self.round(api, chance)
                self.rounds += 1
            except GONE:
                time.sleep(0.02)
        api.close()

    def client(self) -> docker.DockerClient:
        """Return a client, which asks the daemon for its version: once one is there to answer."""
        while True:
            try:
                return self.engine.api(timeout=30 * PATIENCE)
            except docker.errors.DockerException:
                time.sleep(0.02)

    def round(self, api: docker.DockerClient, chance: random.Random) -> None:
        code = chance.randrange(1, 120)
        made = api.containers.create(
            IMAGE, ["sh", "-c", f"echo begun; sleep 0.1; echo done; exit {code}"]
        )
        made.start()
        if chance.random() < 0.3:
            with contextlib.suppress(docker.errors.APIError):
                made.exec_run(["true"])
        result = made.wait(timeout=20 * PATIENCE)
        if result["StatusCode"] not in (code, 137):
            self.wrong.append(f"{made.short_id} exited {result['StatusCode']}, not {code}")
        if result["StatusCode"] == code and made.logs() != b"begun\ndone\n":
            self.wrong.append(f"{made.short_id} logged {made.logs()!r}")
        made.remove(force=True)


def processes_of(engine: Engine, kind: str) -> list[int]:
    """Return the spawner, or the shims of the containers that the engine has."""
    known = os.listdir(engine.root / "x" / "c") if kind == "shim" else []
    child = f"PPid:\t{engine.process.pid if engine.process else 0}\n"
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError, IndexError):
            words = Path(f"/proc/{entry}/cmdline").read_bytes().rstrip(b"\0 ").split()
            status = Path(f"/proc/{entry}/status").read_text()
            is_ours = {
                "shim": words[0] == b"boxship-shim"
                and any(word.decode() in known for word in words[1:]),
                "spawner": words[0] == b"boxship-spawner" and child in status,
            }
            if is_ours[kind]:
                found.append(int(entry))
    return found


def victims(engine: Engine) -> dict[str, Callable[[], list[int]]]:
    assert engine.process is not None
    return {
        "daemon": lambda: [engine.process.pid] if engine.process else [],
        "spawner": lambda: processes_of(engine, "spawner"),
        "shim": lambda: processes_of(engine, "shim"),
    }


def wait_settled(engine: Engine, within: float = 10.0 * PATIENCE) -> list[str]:
    """Wait until no container is shown as running; return those that still are."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with contextlib.closing(engine.api()) as api:
            running = [c.short_id for c in api.containers.list()]
        if not running:
            break
        time.sleep(0.1)
    return running


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_kills_at_random_moments_lose_and_leave_nothing(own_engine: Engine, kills: int) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    chance = random.Random(kills)
    load = Load(engine)
    clients = [threading.Thread(target=load.run, args=(n,), daemon=True) for n in range(4)]
    for client in clients:
        client.start()
    returns: list[float] = []
    for _ in range(kills):
        time.sleep(chance.uniform(0.05, 0.6) * PATIENCE)
        kind = chance.choice(["daemon", "daemon", "spawner", "shim"])
        found = victims(engine)[kind]()
        if not found:
            continue
        with contextlib.suppress(ProcessLookupError):
            os.kill(chance.choice(found), signal.SIGKILL)
        if kind == "daemon":
            assert engine.process is not None
            engine.process.wait()
            began = time.monotonic()
            engine.start()
            returns.append(time.monotonic() - began)
    load.ending.set()
    for client in clients:
        client.join(60 * PATIENCE)
    print(f"{load.rounds} rounds; slowest returns", *(f"{s:.2f}" for s in sorted(returns)[-10:]))
    said = sorted(float(s) for s in re.findall(r"ready ([\d.]+) s", engine.log.read_text()))
    print("of which the daemon says", *said[-10:])
    assert not load.wrong
    assert load.rounds > kills // 4
    assert wait_settled(engine) == []
    report = engine.api().api._result(
        engine.api().api._get("http+docker://localhost/system/check"), json=True
    )  # type: ignore[no-untyped-call]
    assert not report.get("Problems"), report


@pytest.mark.slow
def test_the_daemon_is_back_soon_with_a_hundred_containers(own_engine: Engine) -> None:
    """R1.3: within a second, and each of them is known to run."""
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    returns: list[float] = []
    with contextlib.closing(engine.api()) as api:
        for _ in range(100):
            api.containers.run(IMAGE, ["sleep", "3600"], detach=True, init=True)
        for _ in range(10):
            engine.kill()
            began = time.monotonic()
            engine.start()
            returns.append(time.monotonic() - began)
            assert len(api.containers.list()) == 100
    print("returns", *(f"{s:.2f}" for s in sorted(returns)))
    assert max(returns) < 1.0 * PATIENCE


def test_a_running_container_does_not_notice_that_the_daemon_died(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    script = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done"
    with contextlib.closing(engine.api()) as api:
        made = api.containers.run(IMAGE, ["sh", "-c", script], detach=True)
        made.reload()
        before = made.attrs["State"]["Pid"]
        time.sleep(0.2)
        engine.kill()
        time.sleep(0.3)
        engine.start()
        made.reload()
        assert (made.status, made.attrs["State"]["Pid"]) == ("running", before)
        made.kill()
        numbers = [int(line) for line in made.logs().split()]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) > 15
        made.remove()


def test_a_published_port_is_served_on_while_the_daemon_is_dead(own_engine: Engine) -> None:
    """Connections that are open, and new ones, before and after its return."""
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        made = api.containers.run(
            IMAGE, ["nc", "-ll", "-p", "7", "-e", "cat"], detach=True, ports={"7/tcp": None}
        )
        made.reload()
        port = int(made.ports["7/tcp"][0]["HostPort"])
        wait_until(lambda: echoes(port))
        with socket.create_connection(("127.0.0.1", port), 10 * PATIENCE) as begun:
            assert is_echoed(begun)
            engine.kill()
            assert is_echoed(begun)
            assert echoes(port)
            engine.start()
            assert is_echoed(begun)
            assert echoes(port)
        made.remove(force=True)
        assert not echoes(port)


def echoes(port: int) -> bool:
    """Whether somebody on the loopback takes connections and sends back what comes."""
    try:
        with socket.create_connection(("127.0.0.1", port), 10 * PATIENCE) as connection:
            return is_echoed(connection)
    except OSError:
        return False


def is_echoed(connection: socket.socket) -> bool:
    connection.sendall(b"word")
    received = b""
    while len(received) < 4 and (more := connection.recv(4 - len(received))):
        received += more
    return received == b"word"


def test_an_exit_while_the_daemon_was_dead_is_told_with_its_code_and_time(
    own_engine: Engine, tmp_path: Path
) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:

        def ends(code: int, **options: object) -> docker.models.containers.Container:
            """Start what ends with a code once it is told to."""
            script = f"until [ -e /told/end ]; do sleep 0.05; done; exit {code}"
            told = {str(tmp_path): {"bind": "/told", "mode": "ro"}}
            return api.containers.run(
                IMAGE, ["sh", "-c", script], detach=True, volumes=told, **options
            )

        made = ends(33)
        removed = ends(0, auto_remove=True)
        again = ends(1, restart_policy={"Name": "always"})
        pids = [api.api.inspect_container(c.id)["State"]["Pid"] for c in (made, removed, again)]
        engine.kill()
        began = time.time()
        (tmp_path / "end").touch()
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            time.sleep(0.02)
        ended = time.time()
        engine.start()
        made.reload()
        state = made.attrs["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 33)
        finished = time.mktime(time.strptime(state["FinishedAt"][:19], "%Y-%m-%dT%H:%M:%S"))
        assert began - 1 <= finished - time.timezone <= ended + 1
        with pytest.raises(docker.errors.NotFound):
            removed.reload()
        deadline = time.monotonic() + 30 * PATIENCE
        while time.monotonic() < deadline:
            again.reload()
            if again.attrs["RestartCount"] >= 1:
                break
            time.sleep(0.05)
        assert again.attrs["RestartCount"] >= 1
        again.remove(force=True)
        made.remove()


def test_a_shim_that_is_killed_takes_its_container_along_and_it_is_said(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        made = api.containers.run(IMAGE, ["sleep", "3600"], detach=True)
        made.reload()
        pid = made.attrs["State"]["Pid"]
        for shim in processes_of(engine, "shim"):
            os.kill(shim, signal.SIGKILL)
        assert wait_settled(engine, 2.0 * PATIENCE) == []
        made.reload()
        assert made.attrs["State"]["ExitCode"] == 137
        assert (
            not Path(f"/proc/{pid}").exists()
            or "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
        )
        made.remove()


def test_a_thousand_lives_cost_no_memory_and_leave_nothing(engine: Engine) -> None:
    """Create, start, wait, remove; the figure of R3.1 for the daemon's growth is 8 MiB."""
    with contextlib.closing(engine.api()) as api:

        def lives(count: int) -> None:
            for _ in range(count):
                made = api.containers.create(IMAGE, ["true"], network_mode="none")
                made.start()
                made.wait()
                made.remove()

        def descriptors() -> int:
            assert engine.process is not None
            return len(os.listdir(f"/proc/{engine.process.pid}/fd"))

        lives(100)
        before, open_before = resident(engine), descriptors()
        kept = engine.ledger()
        lives(1000 if PATIENCE == 1 else 200)
        time.sleep(0.5)
        assert grown(engine, before, 8 << 10) <= 8 << 10
        assert descriptors() - open_before <= 4  # those of earlier tests may have gone
        assert not engine.ledger().beyond(kept)
