"""Copying while a program in the container, or a neighbour on a volume, swaps folders and links.

A canary lies on the host where the links point. It must never be read, changed, or joined by
anything, and the host must never see a mount.
"""

from __future__ import annotations

import contextlib
import io
import lzma
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from tests.support.engine import Engine
from tests.support.swapping import swapping
from tests.system.conftest import IMAGE, Start, inside

pytestmark = pytest.mark.usefixtures("unharmed")

SECRET = "canary-content"
ROUNDS = pytest.mark.parametrize(
    "rounds", [150, pytest.param(5000, marks=pytest.mark.slow)], ids=["some", "many"]
)


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A folder of the host with a secret; the test fails when it is not the same afterwards."""
    folder = tmp_path / "canary"
    (folder / "inner").mkdir(parents=True)
    for place in (folder, folder / "inner"):
        (place / "file").write_text(SECRET)
    before = state(folder)
    yield folder
    assert state(folder) == before


def state(folder: Path) -> list[tuple[str, int, int, int]]:
    """Return what can be seen of a tree without reading it."""
    found = []
    for path in sorted([folder, *folder.rglob("*")]):
        status = path.lstat()
        found.append((str(path), status.st_mode, status.st_mtime_ns, status.st_atime_ns))
    return found


def packed(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"ours"))
    return buffer.getvalue()


def put(container: Container, path: str, data: bytes) -> None:
    with contextlib.suppress(docker.errors.APIError):
        container.put_archive(path, data)


def get(container: Container, path: str) -> bytes:
    try:
        return b"".join(container.get_archive(path)[0])
    except docker.errors.APIError:
        return b""


def host_mounts() -> set[str]:
    """Return what is mounted on the host, without the numbers."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return {" ".join(line.split()[3:5]) for line in lines}


@ROUNDS
def test_a_swapper_in_the_container_leads_no_copy_outside(
    start: Start, canary: Path, rounds: int
) -> None:
    container = start()
    inside(container, "mkdir", "-p", "/a/b/inner", "/a/b/inner/deep")
    inside(container, "sh", "-c", f"echo ours > /a/b/file; ln -s {canary} /a/link")
    root = Path(f"/proc/{container.attrs['State']['Pid']}/root")
    data = packed("file", "inner/file", "new")
    seen = b""
    with swapping(root / "a/b", root / "a/link"):
        for _ in range(rounds):
            put(container, "/a/b", data)
            put(container, "/a", packed("b/file", "b/inner/new"))
            for path in ("/a/b", "/a/b/", "/a/b/file", "/a/b/inner", "/a"):
                found = get(container, path)
                assert SECRET.encode() not in found
                seen += found[:1]
    assert seen
    assert not (canary / "new").exists()


@ROUNDS
def test_a_neighbour_that_swaps_mount_points_on_a_shared_volume_leads_no_mount_outside(
    api: docker.DockerClient, canary: Path, name: str, rounds: int
) -> None:
    outer, inner = (api.volumes.create(f"{name}-{one}") for one in ("outer", "inner"))
    where = Path(outer.attrs["Mountpoint"])
    (where / "point").mkdir()
    (where / "link").symlink_to(canary)
    binds = [f"{outer.name}:/data", f"{inner.name}:/data/point", f"{inner.name}:/data/point/inner"]
    container = api.containers.create(IMAGE, volumes=binds)
    before = host_mounts()
    try:
        with swapping(where / "point", where / "link"):
            for _ in range(rounds // 3):
                put(container, "/data/point", packed("new"))
                put(container, "/data/point/inner", packed("new"))
                assert SECRET.encode() not in get(container, "/data/point")
                assert SECRET.encode() not in get(container, "/data")
                assert not {one for one in host_mounts() - before if str(canary) in one}
                assert not [one for one in host_mounts() if "/roots" in one]
    finally:
        container.remove(force=True)
        for volume in (outer, inner):
            volume.remove(force=True)
    assert not (canary / "new").exists()


HOSTILE = {
    "parent": [("../../escaped", None)],
    "absolute": [("/../../../escaped", None)],
    "link-then-file": [("out", "{canary}"), ("out/escaped", None)],
    "up-link-then-file": [("out", "../../../../../..{canary}"), ("out/escaped", None)],
    "link-over-a-folder": [("d/x", None), ("d", "{canary}"), ("d/escaped", None)],
}


@pytest.mark.parametrize("way", ["running", "stopped"])
@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_stays_inside(
    api: docker.DockerClient,
    start: Start,
    canary: Path,
    entries: list[tuple[str, str | None]],
    way: str,
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, target in entries:
            entry = tarfile.TarInfo(path)
            if target is None:
                archive.addfile(entry, io.BytesIO())
            else:
                entry.type, entry.linkname = tarfile.SYMTYPE, target.format(canary=canary)
                archive.addfile(entry)
    container = start()
    if way == "stopped":
        container.kill()
    put(container, "/tmp", buffer.getvalue())
    assert not (canary / "escaped").exists()
    assert not Path("/escaped").exists()
    assert not (canary.parent / "escaped").exists()


def test_a_link_to_the_hosts_processes_leads_nowhere(start: Start, canary: Path) -> None:
    container = start(pid_mode="host")
    inside(container, "ln", "-s", f"/proc/1/root{canary}", "/magic")
    inside(container, "ln", "-s", "/proc/self/root", "/self")
    assert get(container, "/magic/") == b""
    assert get(container, f"/self{canary}") == b""
    put(container, "/magic", packed("escaped"))
    assert not (canary / "escaped").exists()


@pytest.mark.parametrize("way", ["cp", "export"])
def test_an_archive_of_odd_files_is_whole(start: Start, way: str) -> None:
    container = start()
    root = Path(f"/proc/{container.attrs['State']['Pid']}/root")
    (root / "odd").mkdir()
    os.mkfifo(root / "odd/fifo")
    (root / "odd" / ("n" * 255)).write_text("long name")
    deep = os.open(root / "odd", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=deep)
        above, deep = deep, os.open("deeper", os.O_RDONLY, dir_fd=deep)
        os.close(above)
    with open(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=deep), "w") as bottom:
        bottom.write("at the bottom")
    os.close(deep)
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(root / "odd", os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
        with changing(root / "odd/changing"):
            pieces = container.get_archive("/odd")[0] if way == "cp" else container.export()
            data = b"".join(pieces)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {entry.name: entry for entry in archive}
    assert data.endswith(bytes(1024))
    assert members["odd/fifo"].isfifo()
    assert "odd/socket" not in members
    assert f"odd/{'n' * 255}" in members
    assert members["odd/" + "deeper/" * 1500 + "bottom"].size == len("at the bottom")
    assert "odd/changing" in members


@contextlib.contextmanager
def changing(path: Path) -> Iterator[None]:
    """Let a file grow and shrink all the time."""
    ended = threading.Event()
    path.write_bytes(b"x" * 100)

    def change() -> None:
        with path.open("r+b") as file:
            while not ended.wait(0.0005):
                file.truncate(3 << 20)
                file.truncate(10)

    worker = threading.Thread(target=change)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()


def test_a_poisoned_unpacker_in_the_container_is_never_executed(
    engine: Engine, start: Start
) -> None:
    container = start()
    for program in ("xz", "unxz", "lzma", "tar", "docker-untar"):
        inside(container, "sh", "-c", f"printf '#!/bin/sh\ntouch /ran' > /bin/{program}.new")
        inside(
            container,
            "sh",
            "-c",
            f"chmod 755 /bin/{program}.new; mv -f /bin/{program}.new /bin/{program}",
        )
    inside(container, "sh", "-c", "mkdir -p /lib; echo poison > /lib/libnss_files.so.2")
    for way in ("running", "stopped"):
        assert container.put_archive("/tmp", lzma.compress(packed(f"file-{way}")))
        assert get(container, f"/tmp/file-{way}")
        assert get(container, "/ran") == b""
        if way == "running":
            container.kill()
    assert engine.api().ping()
