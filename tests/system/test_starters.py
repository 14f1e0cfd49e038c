"""Shims keep many containers each, and have starters, which may be killed at any moment."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from docker.models.containers import Container
from tests.support.engine import PATIENCE, Engine

from boxship.kernel import processes

pytestmark = pytest.mark.root
IMAGE = "busybox"


def children(pid: int, name: str = "") -> list[int]:
    """Return the children of a process, whichever of its threads made them, by their name."""
    found: list[int] = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
            found += map(int, file.read().split())
    return [pid for pid in found if not name or name_of(pid) == name]


def name_of(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/comm") as file:
        return file.read().strip()
    return ""


def spawner_of(engine: Engine) -> int:
    assert engine.process
    (found,) = children(engine.process.pid, "boxship-spawner")
    return found


def keeper_of(container: Container) -> int:
    """Return the shim: the parent of the container's first process."""
    container.reload()
    with open(f"/proc/{container.attrs['State']['Pid']}/stat", "rb") as file:
        return int(file.read().rpartition(b")")[2].split()[1])


def begun(engine: Engine) -> list[Path]:
    """Return the notes of keepers that have given their starts to a starter, or are about to.

    Whatever a shim is asked later comes after that.
    """
    return list((engine.root / "x" / "c").glob("*/state.json"))


def opened(pid: int) -> list[str]:
    """Return what a process has open, but for what tells of a container's memory."""
    found = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/{pid}/fd/{number}").partition(":")[0])
    return sorted(name for name in found if name != "anon_inode" and "cgroup" not in name)


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30 * PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def sleeper(api, **options: object) -> Container:  # type: ignore[no-untyped-def]
    return api.containers.run(IMAGE, ["sleep", "3600"], detach=True, network_mode="none", **options)


def test_a_starter_that_was_killed_is_followed_by_another(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        first = sleeper(api)
        keeper = keeper_of(first)
        (starter,) = children(keeper, "boxship-starter")
        os.kill(starter, signal.SIGKILL)
        until(lambda: not processes.is_alive(starter))
        assert first.exec_run(["echo", "there"]).output == b"there\n"
        assert first.exec_run(["absent"]).exit_code == 127
        said = [api.containers.run(IMAGE, ["echo", str(n)], remove=True) for n in range(3)]
        assert said == [b"0\n", b"1\n", b"2\n"]
        (other,) = children(keeper, "boxship-starter")
        assert other != starter
        first.remove(force=True)


def test_a_job_that_is_held_up_holds_up_no_other(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api, contextlib.closing(engine.api()) as further:
        first = sleeper(api)
        keeper = keeper_of(first)
        (starter,) = children(keeper, "boxship-starter")
        os.kill(starter, signal.SIGSTOP)
        late: list[bytes] = []

        def run_late() -> None:
            late.append(further.containers.run(IMAGE, ["echo", "late"], remove=True))

        held = threading.Thread(target=run_late)
        held.start()
        try:
            until(lambda: len(begun(engine)) == 2)
            assert first.exec_run(["echo", "there"]).output == b"there\n"
            assert api.containers.run(IMAGE, ["echo", "soon"], remove=True) == b"soon\n"
            assert late == []
        finally:
            os.kill(starter, signal.SIGCONT)
            held.join(60 * PATIENCE)
        assert late == [b"late\n"]
        first.remove(force=True)


def test_a_start_whose_starter_is_killed_is_tried_again(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api, contextlib.closing(engine.api()) as further:
        first = sleeper(api)
        (starter,) = children(keeper_of(first), "boxship-starter")
        os.kill(starter, signal.SIGSTOP)
        said: list[bytes] = []

        def run() -> None:
            said.append(further.containers.run(IMAGE, ["echo", "again"], remove=True))

        running = threading.Thread(target=run)
        running.start()
        until(lambda: len(begun(engine)) == 2)
        os.kill(starter, signal.SIGKILL)
        running.join(60 * PATIENCE)
        assert said == [b"again\n"]
        first.remove(force=True)


def test_shims_go_on_without_their_daemon_and_end_with_their_last_container(
    own_engine: Engine,
) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        held = sleeper(api)
        keeper, spawner = keeper_of(held), spawner_of(engine)
        (starter,) = children(keeper, "boxship-starter")
        engine.kill()
        until(lambda: not processes.is_alive(spawner))
        engine.start()
    with contextlib.closing(engine.api()) as api:
        held = api.containers.get(held.id)
        assert keeper_of(held) == keeper
        assert held.exec_run(["echo", "still"]).output == b"still\n"
        new = sleeper(api)
        assert keeper_of(new) != keeper
        held.remove(force=True)
        until(lambda: not processes.is_alive(keeper))
        until(lambda: not processes.is_alive(starter))
        assert new.exec_run(["echo", "there"]).output == b"there\n"
        new.remove(force=True)


def test_all_containers_of_a_killed_shim_end_and_others_do_not(own_engine: Engine) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        several = [sleeper(api) for _ in range(4)]
        (keeper,) = {keeper_of(one) for one in several}
        engine.kill()  # a new daemon's containers come to a new shim
        engine.start()
    with contextlib.closing(engine.api()) as api:
        other = sleeper(api)
        assert keeper_of(other) != keeper
        os.kill(keeper, signal.SIGKILL)
        until(lambda: len(api.containers.list()) == 1)
        for one in api.containers.list(all=True):
            if one.id != other.id:
                assert one.attrs["State"]["ExitCode"] == 137
                one.remove()
        assert other.exec_run(["echo", "there"]).output == b"there\n"
        other.remove(force=True)


def test_nothing_stays_of_what_ran_in_a_shim(own_engine: Engine) -> None:
    """No child that nobody waits for, no descriptor, and the shim takes the next container."""
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(engine.api()) as api:
        held = sleeper(api, pid_mode="host")
        keeper = keeper_of(held)
        before = opened(keeper)
        for number in range(4):
            code, said = held.exec_run(["sh", "-c", f"sleep 0.01 & echo {number}; exit {number}"])
            assert (code, said) == (number, b"%d\n" % number)
            made = api.containers.run(IMAGE, ["sh", "-c", f"echo {number}; sleep 60"], detach=True)
            assert keeper_of(made) == keeper
            until(made.logs)
            assert made.logs() == b"%d\n" % number
            made.remove(force=True)
        init = held.attrs["State"]["Pid"]
        until(lambda: {init, *children(keeper, "boxship-starter")} == set(children(keeper)))
        until(lambda: len(children(keeper)) == 2)
        until(lambda: opened(keeper) == before)
        held.remove(force=True)
