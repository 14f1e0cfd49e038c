"""Reliability promises with a number: kills, crowds, dropped clients, neighbours that hang.

The figures are in docs/promises.md; the full ones need `--slow`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from tests.support.engine import PATIENCE, Engine
from tests.support.ledger import Ledger
from tests.support.waiting import wait_until
from tests.system.conftest import IMAGE, Start, grown, inside, ping_time, resident

pytestmark = [pytest.mark.root, pytest.mark.timeout(3000)]
CALL = 120 * PATIENCE


def wait_clean(engine: Engine, before: Ledger) -> None:
    """Wait until nothing is there that was not before."""
    deadline = time.monotonic() + 60 * PATIENCE
    while left := engine.ledger().beyond(before):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# R1.5


@pytest.mark.parametrize("rounds", [3, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("whom", ["keeper", "init", "both", "starter"])
def test_r1_5_the_state_is_true_soon_after_a_kill(
    engine: Engine, start: Start, whom: str, rounds: int
) -> None:
    """Within 2 s, and with nothing left; a starter's death is not even noticed."""
    start("true").wait(timeout=CALL)  # so that the bridge is there
    slowest = 0.0
    before, problems = engine.ledger(), checked(engine)
    for _ in range(rounds):
        made = start()
        init = int(made.attrs["State"]["Pid"])
        keeper = parent(init)
        victims = {
            "keeper": [keeper], "init": [init], "both": [keeper, init],
            "starter": children_called(keeper, b"boxship-starter"),
        }[whom]  # fmt: skip
        assert victims
        begun = time.monotonic()
        for pid in victims:
            kill(pid)
        if whom == "starter":
            made.exec_run(["true"])  # this one may have been given to the starter that is dead
            assert inside(made, "echo", "there") == "there"
            made.kill()
        wait_until(lambda made=made: state_of(made) == "exited")
        slowest = max(slowest, time.monotonic() - begun)
        assert made.attrs["State"]["ExitCode"] == 137
        made.remove()
    print(f"{rounds} kills of {whom}: true within {slowest:.2f} s")
    assert slowest < 2 * (1 if rounds > 3 else 5) * PATIENCE
    wait_clean(engine, before)
    assert checked(engine) <= problems  # other tests have had this engine, too


def checked(engine: Engine) -> set[str]:
    """Return what the engine finds wrong with itself."""
    return set(engine.boxship("system", "check", check=False).stdout.splitlines())


def children_called(pid: int, name: bytes) -> list[int]:
    """Return children of a process's threads by their name."""
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/cmdline").read_bytes().startswith(name):
                    found.append(int(child))
    return found


def state_of(container: Container) -> str:
    container.reload()
    return str(container.status)


# R3.3


class Dropped:
    """A client that asks, perhaps reads the beginning of the answer, and is gone."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def ask(self, method: str, path: str, body: str = "", upgrade: str = "") -> None:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        if upgrade:
            head += "Connection: Upgrade\r\nUpgrade: tcp\r\n"
        text = f"{head}Content-Length: {len(body)}\r\n\r\n{body}"
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(CALL)
            connection.connect(self.engine.socket)
            connection.sendall(text.encode())
            assert connection.recv(64).startswith(b"HTTP/1.1 "), path


@pytest.mark.parametrize("rounds", [25, pytest.param(10_000, marks=pytest.mark.slow)])
def test_r3_3_clients_that_vanish_leave_nothing(engine: Engine, start: Start, rounds: int) -> None:
    """On attach, exec, logs, events, stats, wait: descriptors, threads and memory stay flat."""
    container = start("sh", "-c", "while :; do echo x; sleep 1; done")
    at = f"/containers/{container.id}"
    api = container.client.api
    client = Dropped(engine)

    def vanish(count: int) -> None:
        for number in range(count):
            client.ask("POST", f"{at}/attach?stream=1&stdout=1&stdin=1", upgrade="tcp")
            client.ask("GET", f"{at}/logs?follow=1&stdout=1")
            client.ask("GET", "/events")
            client.ask("GET", f"{at}/stats?stream=1")
            if number % 10 == 0:
                made = api.exec_create(container.id, ["cat"], stdin=True)["Id"]
                client.ask("POST", f"/exec/{made}/start", '{"Detach":false}', upgrade="tcp")

    vanish(20)
    before = resident(engine)
    held_before = settled(lambda: held(engine))
    vanish(rounds)
    wait_until(
        lambda: all(now <= was + 4 for now, was in zip(held(engine), held_before, strict=True))
    )
    more = grown(engine, before, 16 << 10)
    print(f"{rounds} rounds of dropped clients: {more} KiB more")
    assert more <= 16 << 10


def held(engine: Engine) -> tuple[int, int]:
    """Return how many descriptors and threads the daemon has."""
    assert engine.process is not None
    at = f"/proc/{engine.process.pid}"
    return len(os.listdir(f"{at}/fd")), len(os.listdir(f"{at}/task"))


def settled(look: Callable[[], tuple[int, int]]) -> tuple[int, int]:
    """Look until it does not change for a moment."""
    last, same = look(), 0
    deadline = time.monotonic() + 30 * PATIENCE
    while same < 10 and time.monotonic() < deadline:
        time.sleep(0.05)
        now = look()
        last, same = now, same + 1 if now == last else 0
    return last


# R3.1


@pytest.mark.parametrize("rounds", [12, pytest.param(10_000, marks=pytest.mark.slow)])
def test_r3_1_lives_with_an_exec_and_a_stop_cost_nothing(
    engine: Engine, api: docker.DockerClient, rounds: int
) -> None:
    taken: list[float] = []

    def live() -> None:
        begun = time.monotonic()
        made = api.containers.create(IMAGE, ["sleep", "3600"], init=True)
        made.start()
        assert made.exec_run(["true"]).exit_code == 0
        made.stop(timeout=30)
        made.remove()
        taken.append(time.monotonic() - begun)

    for _ in range(min(100, rounds)):
        live()
    names, size = engine.ledger(), resident(engine)
    before = settled(lambda: held(engine))
    taken.clear()
    for _ in range(rounds):
        live()
    wait_clean(engine, names)
    after = settled(lambda: held(engine))
    first, last = sorted(taken[:100]), sorted(taken[-100:])
    more = grown(engine, size, 8 << 10)
    print(f"{rounds} lives: {more} KiB more, p99 {first[-1]:.3f} {last[-1]:.3f}")
    assert more <= 8 << 10
    assert abs(after[0] - before[0]) <= 4


# R3.2


@pytest.mark.parametrize("rounds", [2, pytest.param(1000, marks=pytest.mark.slow)])
def test_r3_2_networks_come_and_go(
    engine: Engine, api: docker.DockerClient, start: Start, rounds: int
) -> None:
    """With containers that are connected while they run; addresses do not run out."""
    made = [start() for _ in range(10 if rounds > 2 else 2)]

    def come_and_go(count: int) -> None:
        for number in range(count):
            network = api.networks.create(f"comes-and-goes-{number % 7}")
            for one in made:
                network.connect(one)
            made[1].reload()
            address = made[1].attrs["NetworkSettings"]["Networks"][network.name]["IPAddress"]
            assert inside(made[0], "ping", "-A", "-c", "3", "-W", "10", address)
            for one in made:
                network.disconnect(one)
            network.remove()

    come_and_go(1)
    before, size, opened = engine.ledger(), resident(engine), settled(lambda: held(engine))
    come_and_go(rounds)
    wait_clean(engine, before)
    after = settled(lambda: held(engine))
    more = grown(engine, size, 8 << 10)
    print(f"{rounds} networks: {more} KiB more, {opened} to {after}")
    assert after[0] - opened[0] <= 24  # the client keeps some connections
    assert more <= 8 << 10


# R3.6, R4.4


@pytest.fixture
def crowd(engine: Engine, api: docker.DockerClient) -> Iterator[Callable[[int], list[Container]]]:
    made: list[Container] = []

    def gather(count: int) -> list[Container]:
        with ThreadPoolExecutor(8) as pool:
            made.extend(
                pool.map(
                    lambda _: api.containers.run(
                        IMAGE, ["sleep", "3600"], detach=True, init=True, network_mode="none"
                    ),
                    range(count),
                )
            )
        return made

    yield gather
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: one.remove(force=True), made))


@pytest.mark.parametrize("count", [12, pytest.param(100, marks=pytest.mark.slow)])
def test_r4_4_many_are_stopped_together(
    engine: Engine, crowd: Callable[[int], list[Container]], count: int
) -> None:
    """All of them honour the signal: 100 in 2 s."""
    made = crowd(count)
    begun = time.monotonic()
    engine.docker("stop", *(str(one.id) for one in made))
    taken = time.monotonic() - begun
    print(f"{count} stopped in {taken:.2f} s")
    assert {state_of(one) for one in made} == {"exited"}
    assert {one.attrs["State"]["ExitCode"] for one in made} == {143}
    if count == 100:
        assert taken < 2 * PATIENCE


@pytest.mark.slow
def test_r3_6_five_hundred_at_once(
    engine: Engine, crowd: Callable[[int], list[Container]], api: docker.DockerClient
) -> None:
    crowd(500)
    taken = []
    for _ in range(100):
        begun = time.monotonic()
        assert len(api.api.containers()) == 500
        taken.append(time.monotonic() - begun)
    print(f"500 containers: ps p99 {sorted(taken)[98] * 1000:.0f} ms")
    assert sorted(taken)[98] < 0.1 * PATIENCE


# R4.1


@pytest.fixture
def freezer() -> Iterator[Path]:
    """A group of ours that holds processes so that not even SIGKILL ends them."""
    place = Path("/sys/fs/cgroup/freezer")
    if not (place / "tasks").exists():
        pytest.skip("only a freezer of cgroup v1 keeps a process from dying")
    made = place / f"boxship-tests-stuck-{os.getpid()}"
    made.mkdir()
    yield made
    (made / "freezer.state").write_text("THAWED")
    deadline = time.monotonic() + 30 * PATIENCE
    while True:
        try:
            made.rmdir()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_r4_1_a_container_that_cannot_die_holds_up_nobody(
    engine: Engine, start: Start, freezer: Path
) -> None:
    """Its control group does not empty: who asks for its end is told, all others go on."""
    stuck, other = start(), start()
    (freezer / "cgroup.procs").write_text(str(stuck.attrs["State"]["Pid"]))
    (freezer / "freezer.state").write_text("FROZEN")
    pool = ThreadPoolExecutor(3)
    asked = [
        pool.submit(engine.docker, "kill", str(stuck.id), check=False),
        pool.submit(engine.docker, "rm", "-f", str(stuck.id), check=False),
    ]
    taken = []
    for _ in range(10):
        begun = time.monotonic()
        assert inside(other, "echo", "there") == "there"
        assert other.client.api.containers()
        other.reload()
        taken.append(time.monotonic() - begun)
        assert ping_time(engine) < 5 * PATIENCE
    engine.docker("run", "--rm", IMAGE, "true")
    answers = [one.result(CALL) for one in asked]
    assert answers[1].returncode
    assert answers[1].stderr
    assert engine.docker("inspect", "-f", "{{.State.Status}}", str(stuck.id)).stdout
    (freezer / "freezer.state").write_text("THAWED")
    wait_until(lambda: gone(engine, str(stuck.id)))
    pool.shutdown()


def gone(engine: Engine, container: str) -> bool:
    engine.docker("rm", "-f", container, check=False)
    return engine.docker("inspect", container, check=False).returncode != 0
