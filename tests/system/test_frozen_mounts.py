"""A filesystem of the host's that stops answering holds up who uses it, and nobody else.

R4.1: what the kernel has asked such a server is taken back by nothing, SIGKILL included.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from tests.support.engine import PATIENCE, Engine
from tests.support.frozen import Frozen, frozen
from tests.support.waiting import wait_until
from tests.system.conftest import IMAGE, ping_time

STARTS = 100  # more than the daemon has threads
WITHIN = 10.0 * PATIENCE  # seconds for what takes milliseconds

pytestmark = pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="this kernel has no FUSE")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Frozen]:
    with frozen(tmp_path / "shared") as made:
        yield made


@pytest.fixture
def api(own_engine: Engine) -> Iterator[docker.DockerClient]:
    own_engine.boxship("image", "bootstrap", "busybox")
    made = docker.DockerClient(
        own_engine.host, version="1.44", timeout=int(60 * PATIENCE), max_pool_size=STARTS
    )
    with contextlib.closing(made):
        yield made


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(STARTS + 8) as pool:
        yield pool


def others_are_well(engine: Engine, api: docker.DockerClient, other: Container) -> None:
    """Everything that has nothing to do with the mount works, soon."""
    begun = time.monotonic()
    assert ping_time(engine) < WITHIN
    assert other.id in [one.id for one in api.containers.list()]
    other.reload()
    assert other.exec_run(["echo", "well"]).output == b"well\n"
    assert api.containers.run(IMAGE, ["echo", "new"], remove=True) == b"new\n"
    assert api.volumes.list() == []
    api.df()
    assert time.monotonic() - begun < WITHIN


def stuck(
    threads: ThreadPoolExecutor, work: Callable[[], object], for_: float = 0.5
) -> Future[object]:
    """Begin something that does not end."""
    begun = threads.submit(work)
    time.sleep(for_)
    assert not begun.done(), begun
    return begun


def test_r4_1_a_frozen_mount_holds_up_nobody_else(
    own_engine: Engine, api: docker.DockerClient, threads: ThreadPoolExecutor, mount: Frozen
) -> None:
    other = api.containers.run(IMAGE, ["sleep", "3600"], detach=True)
    user = api.containers.run(
        IMAGE, ["sleep", "3600"], detach=True, volumes=[f"{mount.folder}:/data"]
    )
    assert user.exec_run(["ls", "/data"]).exit_code == 0
    created = [
        api.containers.create(IMAGE, ["true"], volumes=[f"{mount.folder}:/data"])
        for _ in range(STARTS)
    ]
    mount.freeze()
    waiting = [stuck(threads, lambda: user.exec_run(["ls", "/data"]))]
    others_are_well(own_engine, api, other)
    waiting.append(stuck(threads, lambda: b"".join(user.get_archive("/data")[0])))
    others_are_well(own_engine, api, other)
    waiting += [threads.submit(one.start) for one in created]
    time.sleep(1)
    assert not any(one.done() for one in waiting)
    others_are_well(own_engine, api, other)
    user.reload()
    assert user.top()["Processes"]
    with pytest.raises(docker.errors.APIError, match="can not be killed"):
        user.stop(timeout=1)
    others_are_well(own_engine, api, other)
    mount.end()
    for one in waiting:
        with contextlib.suppress(docker.errors.APIError):
            one.result(60 * PATIENCE)
    wait_until(lambda: not user.attrs["State"]["Running"] or user.reload())
    others_are_well(own_engine, api, other)


def test_a_daemon_that_is_killed_beside_a_frozen_mount_is_told_of(
    own_engine: Engine, api: docker.DockerClient, threads: ThreadPoolExecutor, mount: Frozen
) -> None:
    """It cannot end; the next one says why it does not start, and starts when that is over."""
    user = api.containers.create(IMAGE, ["true"], volumes=[f"{mount.folder}:/data"])
    mount.freeze()
    stuck(threads, user.start)
    before = own_engine.process
    assert before is not None
    before.kill()
    wait_until(lambda: Path(f"/proc/{before.pid}/stat").read_text().split()[2] == "Z")
    try:
        next_one = subprocess.run(
            own_engine.command, env=own_engine.environment, capture_output=True, text=True,
            check=False, timeout=5 * PATIENCE,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip("this kernel lets go of who is killed while it waits: the next daemon runs")
    assert next_one.returncode == 1
    assert "the kernel waits for a filesystem that does not answer" in next_one.stderr
    mount.end()
    assert before.wait(30 * PATIENCE)
    own_engine.start()
    assert [one.status for one in api.containers.list(all=True)] == ["created"]


def test_a_daemon_that_stops_beside_a_frozen_mount_makes_way_for_the_next(
    own_engine: Engine, api: docker.DockerClient, threads: ThreadPoolExecutor, mount: Frozen
) -> None:
    """The kernel keeps its process, but that does not keep the next one from starting."""
    other = api.containers.run(IMAGE, ["sleep", "3600"], detach=True)
    user = api.containers.create(IMAGE, ["true"], volumes=[f"{mount.folder}:/data"])
    mount.freeze()
    waiting = stuck(threads, user.start)
    before = own_engine.process
    assert before is not None
    before.send_signal(signal.SIGTERM)
    wait_until(lambda: "the daemon has stopped" in own_engine.tail())
    own_engine.process = None
    own_engine.start()
    others_are_well(own_engine, api, other)
    mount.end()
    assert before.wait(30 * PATIENCE) is not None
    with contextlib.suppress(docker.errors.APIError, OSError):
        waiting.result(30 * PATIENCE)
