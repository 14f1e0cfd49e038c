"""What the host unmounts is gone, and a container's files are never mounted twice."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.engine import Engine
from tests.system.conftest import IMAGE, Start, inside

from boxship.kernel import mounts


def descendants(pid: int) -> set[int]:
    """Return a process with all that it and its children have made, by the kernel's word."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            after_name = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(after_name[1]), []).append(int(name))
    found, left = set(), [pid]
    while left:
        one = left.pop()
        found.add(one)
        left += children.get(one, [])
    return found


def mount_lists(engine: Engine) -> Iterator[tuple[str, list[str]]]:
    """Yield what each thread of the engine's, of its keepers' and their programs' has mounted."""
    assert engine.process is not None
    for pid in descendants(engine.process.pid):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                where = f"/proc/{pid}/task/{task}"
                lines = Path(f"{where}/mountinfo").read_text().splitlines()
                yield Path(f"{where}/comm").read_text().strip(), lines
        except OSError:
            continue


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """A filesystem of the host's; what is called unmounts it and returns its device."""
    place = tmp_path / "of the host"
    place.mkdir()
    mounts.mount("of-the-host", str(place), "tmpfs")
    device = place.stat().st_dev

    def umount() -> str:
        mounts.umount(str(place))
        return f"{os.major(device)}:{os.minor(device)}"

    yield umount
    if os.path.ismount(place):
        mounts.umount(str(place), mounts.MNT_DETACH)


def test_what_the_host_unmounts_is_gone(
    engine: Engine, start: Start, mounted: Callable[[], str], tmp_path: Path
) -> None:
    """After starts, execs, a build and files going in and out, and while some go on."""
    runtimes = ["native", *(["runc"] if shutil.which("runc") else [])]
    running = [start(runtime=one) for one in runtimes]
    for container in running:
        inside(container, "true")
        assert b"".join(container.get_archive("/etc")[0])
    sharer = start("sleep", "3600", pid_mode=f"container:{running[0].id}")
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN --mount=type=cache,target=/c echo\n")
    engine.boxship("build", "-q", "--no-cache", str(tmp_path))
    stopped = start("sh", "-c", "dd if=/dev/zero of=/large bs=1M count=30")
    stopped.wait()
    pieces, _ = stopped.get_archive("/large", chunk_size=1000)
    begun = next(pieces)
    exported = stopped.export(chunk_size=1000)
    begun += next(exported)
    device = mounted()
    holders = [
        (comm, line)
        for comm, lines in mount_lists(engine)
        for line in lines
        if line.split()[2] == device
    ]
    assert holders == []
    assert begun
    assert inside(sharer, "true") == ""


def test_a_start_shares_what_is_mounted_for_a_reader(engine: Engine, start: Start) -> None:
    """Two overlays over one writable folder would be undefined behaviour."""
    script = "test -e /large && exec sleep 3600; dd if=/dev/zero of=/large bs=1M count=30"
    container = start("sh", "-c", script)
    container.wait()
    first, _ = container.get_archive("/large", chunk_size=1000)
    second, _ = container.get_archive("/etc/passwd")
    assert next(first)
    container.start()
    inside(container, "touch", "/made-meanwhile")
    third = container.get_archive("/made-meanwhile")[1]
    assert third["size"] == 0
    devices = {
        line.split()[2]
        for _, lines in mount_lists(engine)
        for line in lines
        if "upperdir=" in line and container.id in line
    }
    layered = container.client.info()["Driver"] != "vfs"
    assert len(devices) == layered
    assert sum(map(len, first)) > 30 << 20
    assert b"".join(second)
    container.stop(timeout=0)
    container.start()
    assert inside(container, "ls", "/made-meanwhile") == "/made-meanwhile"
