"""R1.6: the daemon is killed, gets an error, or waits, before and after every durable step.

Whatever was under way is there wholly or not at all afterwards, and the engine is clean.
"""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
import requests
import urllib3
from tests.support.doors import build
from tests.support.engine import CHECKOUT, PATIENCE, Engine
from tests.support.failpoints import POINTS
from tests.support.images import archive, docker_archive
from tests.system.conftest import IMAGE

from boxship.kernel import processes

pytestmark = [pytest.mark.root, pytest.mark.timeout(3000)]
LOST = (
    docker.errors.DockerException, requests.RequestException, urllib3.exceptions.HTTPError, OSError
)  # fmt: skip
FAST = [
    ("kill", "after a container is kept"), ("error", "before a record is committed"),
    ("kill", "before an exit is noted"), ("error", "before a shim says where it stands"),
]  # fmt: skip


@dataclass
class Pointed(Engine):
    """An engine whose daemon fails at a point."""

    @property
    def command(self) -> list[str]:
        words = super().command
        at = words.index("boxship.daemon.main")
        return [sys.executable, str(CHECKOUT / "tests/support/failpoints.py"), *words[at + 1 :]]


def story(api: docker.DockerClient, done: list[str]) -> None:
    """One of everything that leaves something on the disk; `done` hears what was acknowledged."""
    layer = archive(("file", b"content", {}))
    api.images.load(docker_archive([layer], tags=["loaded:1"]))
    done.append("loaded")
    api.images.get(IMAGE).tag("tagged", "1")
    done.append("tagged")
    api.volumes.create("kept")
    done.append("volume")
    api.networks.create("kept")
    done.append("network")
    made = api.containers.create(IMAGE, ["sleep", "3600"], name="kept", volumes=["kept:/data"])
    done.append("container")
    made.start()
    done.append("started")
    made.kill()
    made.wait(timeout=60 * PATIENCE)
    made.remove()
    done.append("removed")
    api.networks.get("kept").remove()
    api.volumes.get("kept").remove()
    api.images.remove("loaded:1")
    done.append("all removed")


def there(api: docker.DockerClient) -> set[str]:
    """Return what of the story is there, each looked at as a whole."""
    found = set()
    for what, look in (
        ("loaded", lambda: api.images.get("loaded:1").history()),
        ("tagged", lambda: api.images.get("tagged:1").attrs["RootFS"]),
        ("volume", lambda: Path(api.volumes.get("kept").attrs["Mountpoint"]).stat()),
        ("network", lambda: api.networks.get("kept").attrs["IPAM"]),
        ("container", lambda: api.containers.get("kept").attrs["State"]["Status"]),
    ):
        with contextlib.suppress(docker.errors.NotFound):
            look()
            found.add(what)
    return found


def fail_at(own: Engine, point: str, way: str, notes: Path) -> None:
    """Tell the story to a daemon that fails at a point, then look at what the next one finds."""
    pointed = Pointed(own.root, own.number, own.flags)
    pointed.environment |= {"FAIL_AT": point, "FAIL_BY": way, "FAIL_NOTES": str(notes)}
    for left in notes.parent.glob(f"{notes.name}*"):
        left.unlink()
    done: list[str] = []
    try:
        with contextlib.suppress(AssertionError):  # it may fail at its own start
            pointed.start()
            with contextlib.suppress(*LOST), contextlib.closing(pointed.api(timeout=60)) as api:
                story(api, done)
    finally:
        if way == "kill":
            pointed.kill()
        else:
            pointed.stop()
    own.start()
    with contextlib.closing(own.api()) as api:
        found = there(api)
        if "all removed" in done:
            assert found == {"tagged"}, (point, way)
        elif "removed" in done:
            assert "container" not in found
        else:
            kept = {"loaded", "tagged", "volume", "network", "container"} & set(done)
            if "started" not in done:
                assert found >= kept, (point, way, done)
        checked = own.boxship("system", "check", check=False)
        assert checked.returncode == 0, (point, way, checked.stdout)
        for container in api.containers.list(all=True):
            container.remove(force=True)
        again = []
        for name in ("kept",):
            for verbs in (api.networks, api.volumes):
                with contextlib.suppress(docker.errors.NotFound):
                    verbs.get(name).remove()
        story(api, again)
        assert again[-1] == "all removed", (point, way)
    own.stop()
    left = own.left()
    assert not left, (point, way)


@pytest.mark.parametrize(("way", "point"), FAST)
def test_r1_6_some_points(own_engine: Engine, way: str, point: str, tmp_path: Path) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    own_engine.stop()
    fail_at(own_engine, point, way, tmp_path / "notes")
    assert point in (tmp_path / "notes").read_text().splitlines()
    own_engine.start()


@pytest.mark.slow
@pytest.mark.parametrize("way", ["kill", "error", "delay"])
def test_r1_6_all_points(own_engine: Engine, way: str, tmp_path: Path) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    own_engine.stop()
    missed = []
    for point in POINTS:
        fail_at(own_engine, point, way, tmp_path / "notes")
        if point not in (tmp_path / "notes").read_text().splitlines():
            missed.append(point)
    print(f"{way}: {len(POINTS) - len(missed)} of {len(POINTS)} points; not reached: {missed}")
    assert len(POINTS) - len(missed) >= 30
    own_engine.start()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("what", ["container", "step"])
def test_nothing_is_swept_while_a_starter_of_a_killed_shim_goes_on(
    own_engine: Engine, what: str, when: str, tmp_path: Path
) -> None:
    """It makes the group, a second late, and all that comes after that it may still do."""
    own_engine.boxship("image", "bootstrap", "busybox")
    own_engine.stop()
    point, notes = f"{when} a group is made", tmp_path / "notes"
    pointed = Pointed(own_engine.root, own_engine.number, own_engine.flags)
    pointed.environment |= {"FAIL_AT": point, "FAIL_BY": "orphan", "FAIL_NOTES": str(notes)}
    pointed.start()
    try:
        if what == "container":
            done = pointed.docker("run", IMAGE, "sleep", "3600", check=False)
        else:
            text = f"FROM {IMAGE}\nRUN sleep 3600\n"
            done = build(pointed, "boxship", text=text, check=False)
        assert done.returncode, done.stdout
        late = int(Path(f"{notes}.{point}").read_text())
        while processes.is_alive(late):
            time.sleep(0.01)
        found = pointed.ledger()
        assert not found.cgroups
        assert not any("sleep" in one for one in found.processes)
    finally:
        pointed.stop()
    own_engine.start()
