"""SEC-118: descriptors and processes run out; nothing is left half-made, and all recovers."""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterator

import pytest
from tests.support.engine import PATIENCE, Engine
from tests.support.wire import Wire
from tests.system.conftest import IMAGE, Start, inside

from boxship.runtime import cgroups
from boxship.runtime.cgroups import Cgroup
from boxship.spec.oci import runtime as oci

pytestmark = pytest.mark.usefixtures("unharmed")

OFTEN = 0.05


@pytest.fixture
def group() -> Iterator[Cgroup]:
    """A group to limit the engine's own processes with; it goes when they have."""
    made = cgroups.detect().create(f"/boxship-tests-few-{os.getpid()}")
    yield made
    made.remove()


@pytest.fixture
def talk(own_engine: Engine) -> Iterator[Wire]:
    own_engine.boxship("image", "bootstrap", "busybox")
    with contextlib.closing(Wire(own_engine)) as made:
        yield made


def created(talk: Wire) -> str:
    status, answer = talk.ask(
        "POST", "/containers/create", {"Image": IMAGE, "Cmd": ["sleep", "600"]}
    )
    assert status == 201, answer
    assert isinstance(answer, dict)
    return str(answer["Id"])


def state(talk: Wire, container: str) -> str:
    status, answer = talk.ask("GET", f"/containers/{container}/json")
    assert status == 200
    assert isinstance(answer, dict)
    return str(answer["State"]["Status"])


def tried(talk: Wire, container: str, free: Callable[[], None] = lambda: None) -> bool:
    """Try to start a container; what does not work leaves it as it was. Tell whether it works.

    `free` gives back what there is too little of, once the start has been answered.
    """
    status, answer = talk.ask("POST", f"/containers/{container}/start")
    free()
    if status == 204:
        assert state(talk, container) == "running"
        assert talk.ask("POST", f"/containers/{container}/kill")[0] == 204
        assert talk.ask("POST", f"/containers/{container}/wait")[0] == 200
        return True
    assert status in (400, 500, 503), answer
    assert isinstance(answer, dict)
    assert answer["message"]
    assert state(talk, container) in ("created", "exited")
    return False


def check_recovered(engine: Engine, talk: Wire, container: str) -> None:
    assert tried(talk, container)
    begun = time.monotonic()
    assert talk.ask("GET", "/_ping")[0] == 200
    assert time.monotonic() - begun < 30 * PATIENCE
    assert talk.ask("DELETE", f"/containers/{container}?force=1")[0] == 204
    done = engine.boxship("system", "check", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_sec_118_without_descriptors_nothing_is_half_made(own_engine: Engine, talk: Wire) -> None:
    container = created(talk)
    assert tried(talk, container)
    assert own_engine.process is not None
    pid = own_engine.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def free() -> None:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    outcomes = []
    for more in range(0, 40, 3):
        used = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}
        lowest = min(set(range(len(used) + 1)) - used)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest + more, before[1]))
        outcomes.append(tried(talk, container, free))
    assert not outcomes[0]
    check_recovered(own_engine, talk, container)


@pytest.mark.usefixtures("group")  # it outlives the engine that is in it
def test_sec_118_without_processes_nothing_is_half_made(
    group: Cgroup, own_engine: Engine, talk: Wire
) -> None:
    """The engine itself, with the process that makes keepers, may have no more of them."""
    container = created(talk)
    assert tried(talk, container)
    assert own_engine.process is not None

    def free() -> None:
        group.update(oci.Resources(pids=oci.Pids(limit=-1)))

    outcomes = []
    for pid in family(own_engine.process.pid):
        group.add(pid)
    for more in range(4):
        limit = oci.Pids(limit=max(1, counted(group) + more))
        group.update(oci.Resources(pids=limit))
        outcomes.append(tried(talk, container, free))
    check_recovered(own_engine, talk, container)


def counted(group: Cgroup) -> int:
    pids = group.stats().pids
    assert pids is not None
    return pids.current


def family(pid: int) -> Iterator[int]:
    """Yield a process and all that it has made."""
    yield pid
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as file:
                for child in file.read().split():
                    yield from family(int(child))


def test_sec_118_a_fork_bomb_stays_in_its_container(engine: Engine, start: Start) -> None:
    script = "(while :; do sleep 600 & done); exec sleep 600"
    bomb = start("sh", "-c", script, pids_limit=24)
    other = start()
    deadline = time.monotonic() + 60 * PATIENCE
    while bomb.stats(stream=False)["pids_stats"]["current"] < 22:
        assert time.monotonic() < deadline
        time.sleep(OFTEN)
    begun = time.monotonic()
    assert inside(other, "echo", "there") == "there"
    assert time.monotonic() - begun < 30 * PATIENCE
    done = engine.docker("exec", bomb.id, "true", check=False)
    assert done.returncode in (0, 126, 128)  # there may be room for a moment
    bomb.kill()
    assert bomb.wait(timeout=60 * PATIENCE)["StatusCode"] == 137
    bomb.start()
    bomb.remove(force=True)
