"""The planner may be killed at any moment: keepers know another way."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest
from tests.support.engine import Engine

from boxship.kernel import processes
from boxship.kernel.syscalls import MACHINE
from boxship.runtime.stub import STUBS

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(MACHINE not in STUBS, reason="planning ahead needs a stub"),
]
IMAGE = "busybox"


def children(pid: int, name: str) -> list[int]:
    """Return the children of a process, whichever of its threads made them, by their name."""
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
            found += map(int, file.read().split())
    return [pid for pid in found if name_of(pid) == name]


def planners(spawner: int) -> list[int]:
    return children(spawner, "boxship-planner")


def name_of(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
    return ""


def spawner_of(engine: Engine) -> int:
    assert engine.process
    (found,) = children(engine.process.pid, "boxship-spawner")
    return found


def wait_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while processes.is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_without_its_planner_a_keeper_starts_programs_itself(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        first = api.containers.run(IMAGE, ["sleep", "3600"], detach=True)
        spawner = spawner_of(engine)
        (planner,) = planners(spawner)
        os.kill(planner, signal.SIGKILL)
        wait_gone(planner)
        assert first.exec_run(["echo", "there"]).output == b"there\n"
        assert first.exec_run(["absent"]).exit_code == 127
        said = [api.containers.run(IMAGE, ["echo", str(n)], remove=True) for n in range(4)]
        assert said == [b"0\n", b"1\n", b"2\n", b"3\n"]
        (other,) = planners(spawner)
        assert other != planner
        os.kill(other, signal.SIGSTOP)  # held up, as by a dead server of files
        assert api.containers.run(IMAGE, ["echo", "late"], remove=True) == b"late\n"
        assert not processes.is_alive(other)
        first.remove(force=True)


def test_the_planner_ends_with_the_last_who_could_ask(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        held = api.containers.run(IMAGE, ["sleep", "3600"], detach=True)
        spawner = spawner_of(engine)
        (planner,) = planners(spawner)
        engine.kill()
        wait_gone(spawner)
        assert processes.is_alive(planner)
        engine.start()
    with contextlib.closing(engine.api()) as api:
        held = api.containers.get(held.id)
        assert held.exec_run(["echo", "still"]).output == b"still\n"
        held.remove(force=True)
    wait_gone(planner)


def test_a_keeper_comes_back_for_another_container(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    keepers = []
    with contextlib.closing(engine.api()) as api:
        for number in range(6):
            made = api.containers.run(IMAGE, ["sh", "-c", f"echo {number}; sleep 60"], detach=True)
            made.reload()
            with open(f"/proc/{made.attrs['State']['Pid']}/stat", "rb") as file:
                keepers.append(int(file.read().rpartition(b")")[2].split()[1]))
            while not made.logs():
                time.sleep(0.01)
            assert made.logs() == b"%d\n" % number
            made.remove(force=True)
            time.sleep(0.05)
    assert len(set(keepers)) < len(keepers)


def test_a_rehearsal_leaves_nothing(own_engine: Engine) -> None:
    """The spawner has kept containers that were none before it forks its first shim."""
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    engine.docker("run", "--rm", IMAGE, "true")
    spawner = spawner_of(engine)
    below = [*children(spawner, "boxship-planner"), *children(spawner, "boxship-shim")]
    with open(f"/proc/{spawner}/task/{spawner}/children") as file:
        assert {int(pid) for pid in file.read().split()} == set(below)
    left = [path for path in engine.root.rglob("*rehearsal*") if "data" not in path.parts]
    assert left == []
    folder = f"/proc/{spawner}/fd"
    open_now = [os.readlink(f"{folder}/{number}") for number in os.listdir(folder)]
    assert sum(link.startswith("pipe:") for link in open_now) <= 2  # its standard error, at most
    assert engine.docker("ps", "-aq").stdout == ""
