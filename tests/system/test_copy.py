"""`docker cp`, `export` and `diff` by the real clients, of containers that run and that do not."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
import zstandard
from docker.models.containers import Container
from tests.support.engine import PATIENCE, Engine
from tests.system.conftest import IMAGE, Start, inside

Make = Callable[..., Container]
WAYS = ["running", "stopped"]


@pytest.fixture
def make(api: docker.DockerClient, start: Start) -> Iterator[Make]:
    """Make a container that runs or has never run; it is removed afterwards."""
    made: list[Container] = []

    def create(way: str, **options: object) -> Container:
        if way == "running":
            return start(**options)
        made.append(api.containers.create(IMAGE, ["sleep", "3600"], **options))
        return made[-1]

    yield create
    for container in made:
        container.remove(force=True, v=True)


@pytest.fixture
def volume(api: docker.DockerClient, name: str) -> Iterator[str]:
    yield api.volumes.create(f"volume-{name}").name
    for one in api.volumes.list(filters={"name": f"volume-{name}"}):
        one.remove(force=True)


def packed(*files: tuple[str, str]) -> bytes:
    """Return an archive of files with text."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, text in files:
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def fetched(container: Container, path: str) -> dict[str, tarfile.TarInfo]:
    pieces, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        return {entry.name: entry for entry in archive}


def content(container: Container, path: str) -> str:
    pieces, _ = container.get_archive(path)
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as archive:
        file = archive.extractfile(archive.getmembers()[0])
        assert file is not None
        return file.read().decode()


def answer(container: Container, data: bytes = b"", **query: str) -> tuple[int, str]:
    """PUT an archive; return the status and the message."""
    url = container.client.api._url("/containers/{0}/archive", container.id)
    told = container.client.api._put(url, params=query, data=data)
    return told.status_code, told.json()["message"] if told.content else ""


@pytest.mark.parametrize("way", WAYS)
def test_a_folder_goes_in_and_comes_out_the_same(
    engine: Engine, make: Make, tmp_path: Path, way: str
) -> None:
    source = tmp_path / "source"
    (source / "deep/er").mkdir(parents=True)
    (source / "deep/er/file").write_text("content")
    (source / "script").write_text("#!/bin/sh\n")
    (source / "script").chmod(0o750)
    (source / "link").symlink_to("deep/er/file")
    container = make(way)
    engine.docker("cp", str(source), f"{container.id}:/put")
    engine.docker("cp", f"{container.id}:/put", str(tmp_path / "back"))
    done = subprocess.run(
        ["diff", "-r", "--no-dereference", source, tmp_path / "back"], capture_output=True
    )
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "back/script").stat().st_mode & 0o777 == 0o750
    assert os.readlink(tmp_path / "back/link") == "deep/er/file"


@pytest.mark.parametrize("way", WAYS)
def test_files_go_through_volumes_and_binds(
    engine: Engine, volume: str, make: Make, tmp_path: Path, way: str
) -> None:
    (tmp_path / "file").write_text("through")
    (tmp_path / "bound").mkdir()
    container = make(way, volumes=[f"{volume}:/data", f"{tmp_path}/bound:/data/inner"])
    engine.docker("cp", str(tmp_path / "file"), f"{container.id}:/data/one")
    engine.docker("cp", str(tmp_path / "file"), f"{container.id}:/data/inner/two")
    assert (tmp_path / "bound/two").read_text() == "through"
    assert content(container, "/data/one") == "through"
    where = container.client.volumes.get(volume).attrs["Mountpoint"]
    assert Path(where, "one").read_text() == "through"


@pytest.mark.parametrize("way", WAYS)
def test_archives_go_through_standard_streams(engine: Engine, make: Make, way: str) -> None:
    container = make(way)
    archive = packed(("in/file", "streamed"))
    engine.docker("cp", "-", f"{container.id}:/tmp", input=archive, text=False)
    out = engine.docker("cp", f"{container.id}:/tmp/in", "-", text=False)
    with tarfile.open(fileobj=io.BytesIO(out.stdout)) as back:  # type: ignore[arg-type]
        assert back.getnames() == ["in", "in/file"]


@pytest.mark.parametrize("way", WAYS)
def test_what_a_path_is_called_and_what_is_told_of_it(make: Make, way: str) -> None:
    container = make(way)
    assert container.put_archive("/tmp", packed(("dir/file", "12345")))
    assert set(fetched(container, "/tmp/dir")) == {"dir", "dir/file"}
    assert set(fetched(container, "/tmp/dir/")) == {"dir", "dir/file"}
    assert set(fetched(container, "/tmp/dir/.")) == {".", "./file"}
    assert set(fetched(container, "/tmp/dir/file")) == {"file"}
    _, about = container.get_archive("/tmp/dir/file")
    assert (about["name"], about["size"], about["linkTarget"]) == ("file", 5, "")
    assert about["mode"] == 0o644
    _, about = container.get_archive("/tmp")
    assert about["mode"] == 1 << 31 | 1 << 20 | 0o777
    _, about = container.get_archive("/")
    assert about["name"] == "/"


@pytest.mark.parametrize("way", WAYS)
def test_links_are_followed_inside_the_container_only(make: Make, way: str) -> None:
    container = make(way)
    links = io.BytesIO()
    with tarfile.open(fileobj=links, mode="w") as archive:
        for name, target in (("up", "../../../../etc"), ("absolute", "/etc"), ("broken", "/no/x")):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            archive.addfile(entry)
    assert container.put_archive("/tmp", links.getvalue())
    for name in ("up", "absolute"):
        _, about = container.get_archive(f"/tmp/{name}")
        assert about["linkTarget"] == "/etc"
        assert about["mode"] & 1 << 27
        assert fetched(container, f"/tmp/{name}")[name].issym()
        assert f"{name}/passwd" in fetched(container, f"/tmp/{name}/")
        assert content(container, f"/tmp/{name}/passwd") == content(container, "/etc/passwd")
    assert container.put_archive("/tmp/absolute", packed(("written", "inside")))
    assert content(container, "/etc/written") == "inside"
    assert not Path("/etc/written").exists()
    _, about = container.get_archive("/tmp/broken")
    assert about["linkTarget"] == "/no/x"


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_there_is_not_found(make: Make, way: str) -> None:
    container = make(way)
    with pytest.raises(docker.errors.NotFound) as failure:
        container.get_archive("/no/such")
    assert failure.value.explanation == (
        f"Could not find the file /no/such in container {container.id}"
    )
    assert answer(container, path="/no/such")[0] == 404
    assert answer(container, path="/etc/passwd") == (400, "extraction point is not a directory")
    assert answer(container) == (400, "bad parameter: path cannot be empty")


@pytest.mark.parametrize("way", WAYS)
def test_what_is_read_only_stays_as_it_is(volume: str, make: Make, way: str) -> None:
    container = make(way, read_only=True, volumes=[f"{volume}:/ro:ro", f"{volume}:/rw"])
    data = packed(("file", "x"))
    assert answer(container, data, path="/") == (403, "container rootfs is marked read-only")
    assert answer(container, data, path="/ro") == (403, "mounted volume is marked read-only")
    assert answer(container, data, path="/rw") == (200, "")
    assert content(container, "/ro/file") == "x"


@pytest.mark.parametrize("way", WAYS)
def test_folders_and_files_replace_each_other_only_when_they_may(make: Make, way: str) -> None:
    container = make(way)
    assert container.put_archive("/tmp", packed(("folder/x", "x"), ("file", "f")))
    clash = packed(("folder", "now a file"))
    status, message = answer(container, clash, path="/tmp", noOverwriteDirNonDir="1")
    assert status == 400
    assert message == 'cannot overwrite directory "/tmp/folder" with non-directory "/tmp"'
    assert content(container, "/tmp/folder/x") == "x"
    assert answer(container, clash, path="/tmp") == (200, "")
    assert content(container, "/tmp/folder") == "now a file"


@pytest.mark.parametrize("way", WAYS)
def test_files_belong_to_whom_the_archive_says_or_to_the_containers_user(
    make: Make, way: str
) -> None:
    container = make(way, user="1234:77")
    data = packed(("file", "x"))
    assert answer(container, data, path="/tmp", copyUIDGID="true") == (200, "")
    entry = fetched(container, "/tmp/file")["file"]
    assert (entry.uid, entry.gid) == (1234, 77)
    assert answer(container, data, path="/tmp") == (200, "")
    assert fetched(container, "/tmp/file")["file"].uid == 0


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_compressed_archives_are_unpacked_by_the_engine_itself(start: Start, packer: str) -> None:
    container = start()
    for program in ("xz", "unxz", "unpigz", "gzip", "zstd", "bzip2"):
        poison = packed((f"usr/local/bin/{program}", "x"), (f"usr/bin/{program}", "x"))
        assert container.put_archive("/", poison)
        script = f"printf '#!/bin/sh\\ntouch /ran\\n' > /usr/bin/{program}"
        inside(container, "sh", "-c", f"{script}; chmod 755 /usr/bin/{program}")
    assert container.put_archive("/tmp", PACKERS[packer](packed(("file", "unpacked"))))
    assert content(container, "/tmp/file") == "unpacked"
    inside(container, "sh", "-c", "! test -e /ran")


def test_a_damaged_archive_is_the_senders_fault(make: Make) -> None:
    container = make("stopped")
    whole = packed(("file", "x" * 5000))
    assert answer(container, whole[:2000], path="/tmp")[0] == 400
    assert answer(container, b"no archive at all" * 100, path="/tmp")[0] == 400
    assert answer(container, gzip.compress(whole)[:60], path="/tmp")[0] == 400


@pytest.mark.parametrize("way", WAYS)
def test_export_has_the_root_and_nothing_that_is_mounted(volume: str, make: Make, way: str) -> None:
    container = make(way, volumes=[f"{volume}:/data"])
    assert container.put_archive("/data", packed(("in-the-volume", "x")))
    assert container.put_archive("/", packed(("in-the-root", "x")))
    with tarfile.open(fileobj=io.BytesIO(b"".join(container.export()))) as archive:
        names = set(archive.getnames())
    assert {"in-the-root", "data", "bin/busybox", "proc"} <= names
    assert not [one for one in names if one.startswith(("data/", "proc/", "sys/", "dev/pts/"))]


def test_what_the_kernel_shows_of_itself_is_not_copied(start: Start) -> None:
    container = start(privileged=True)
    assert set(fetched(container, "/proc")) == {"proc"}
    assert not [one for one in fetched(container, "/") if one.startswith(("/proc/", "/sys/"))]
    with pytest.raises(docker.errors.NotFound):
        container.get_archive("/proc/kcore")


def test_diff_names_what_has_changed(engine: Engine, start: Start) -> None:
    container = start()
    assert container.diff() is None
    inside(container, "sh", "-c", "rm /etc/group; echo >> /etc/passwd; touch /new")
    assert sorted(engine.docker("diff", container.id).stdout.splitlines()) == [
        "A /new",
        "C /etc",
        "C /etc/passwd",
        "D /etc/group",
    ]


def test_nothing_stays_mounted_or_open_when_a_client_leaves_in_the_middle(
    engine: Engine, make: Make
) -> None:
    container = make("stopped")
    assert container.put_archive("/", packed(("big", "x" * (48 << 20))))
    assert engine.process is not None
    threads = f"/proc/{engine.process.pid}/task"

    def archiving() -> list[str]:
        return [
            one for one in os.listdir(threads) if "roots" in mounts(f"{threads}/{one}/mountinfo")
        ]

    def mounts(path: str) -> str:
        try:
            return Path(path).read_text()
        except OSError:
            return ""

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(engine.socket)
        target = f"/containers/{container.id}/archive?path=/big"
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert archiving()
        assert "/roots" not in Path("/proc/self/mountinfo").read_text()
    deadline = time.monotonic() + 30 * PATIENCE
    while archiving() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not archiving()


def test_a_slow_upload_into_a_stopped_container_holds_nobody_up(engine: Engine, make: Make) -> None:
    container = make("stopped")
    data = packed(("file", "slowly"))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(engine.socket)
        target = f"/containers/{container.id}/archive?path=/tmp"
        head = f"PUT {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n"
        client.sendall(head.encode() + data[:700])
        container.start()  # without waiting for the rest
        container.kill()
        client.sendall(data[700:])
        assert client.recv(100).startswith(b"HTTP/1.1 200")
    assert content(container, "/tmp/file") == "slowly"
