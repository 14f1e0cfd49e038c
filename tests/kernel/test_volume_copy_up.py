"""Filling a new volume from the image: everything comes along, nothing leads outside."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.networking import Heard

from boxship.errors import InvalidRequest
from boxship.store.database import Database
from boxship.volume.drivers.local import LocalDriver
from boxship.volume.errors import InvalidVolume
from boxship.volume.volumes import Volumes, check_name

pytestmark = pytest.mark.root


class Nobody:
    def using_volume(self, name: str) -> Sequence[str]:
        return ()


@pytest.fixture
def volumes(tmp_path):
    return Volumes(
        Database(str(tmp_path / "db")),
        [LocalDriver(str(tmp_path / "volumes"))],
        publisher=Heard(),
        users=Nobody(),
        now=lambda: "",
    )


@pytest.fixture
def image(tmp_path):
    root = tmp_path / "image"
    root.mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("of the host")
    return root


def copy_up(volumes: Volumes, image: Path, path: str, name: str = "data") -> bool:
    volumes.create(name)
    root = os.open(image, os.O_PATH | os.O_DIRECTORY)
    try:
        return volumes.copy_up(root, path, name)
    finally:
        os.close(root)


def content(volumes: Volumes, name: str = "data") -> Path:
    return Path(volumes.get(name).mountpoint)


def test_owners_modes_attributes_times_links_holes_and_devices_come_along(volumes, image):
    source = image / "srv"
    (source / "inner").mkdir(parents=True)
    os.chown(source, 100000, 100001)
    os.chmod(source, 0o2770)
    (source / "tool").write_bytes(b"#!")
    os.chown(source / "tool", 33, 44)
    os.chmod(source / "tool", 0o4755)
    os.setxattr(source / "tool", "user.note", b"yes")
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    os.setxattr(source / "tool", "security.capability", capability)
    os.utime(source / "tool", ns=(1_000_000_001, 2_000_000_002))
    os.link(source / "tool", source / "inner/same")
    os.symlink("/etc/passwd", source / "inner/away")
    os.mkfifo(source / "fifo", 0o640)
    os.mknod(source / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    with open(source / "holes", "wb") as file:
        file.seek(1 << 22)
        file.write(b"end")
    os.chmod(source / "inner", 0o711)
    os.utime(source / "inner", ns=(5, 6))
    assert copy_up(volumes, image, "/srv")
    made = content(volumes)
    assert sorted(os.listdir(made)) == ["fifo", "holes", "inner", "null", "tool"]
    root, tool = os.stat(made), os.stat(made / "tool")
    assert (root.st_uid, root.st_gid, stat.S_IMODE(root.st_mode)) == (100000, 100001, 0o2770)
    assert (tool.st_uid, tool.st_gid, stat.S_IMODE(tool.st_mode)) == (33, 44, 0o4755)
    assert tool.st_mtime_ns == 2_000_000_002
    assert os.getxattr(made / "tool", "user.note") == b"yes"
    assert os.getxattr(made / "tool", "security.capability") == capability
    assert os.stat(made / "inner/same").st_ino == tool.st_ino
    assert os.readlink(made / "inner/away") == "/etc/passwd"
    assert stat.S_ISFIFO(os.stat(made / "fifo").st_mode)
    assert os.stat(made / "null").st_rdev == os.makedev(1, 3)
    holes = os.stat(made / "holes")
    assert holes.st_size == (1 << 22) + 3
    assert holes.st_blocks * 512 < 1 << 20
    inner = os.stat(made / "inner")
    assert (stat.S_IMODE(inner.st_mode), inner.st_mtime_ns) == (0o711, 6)


def test_a_volume_with_content_keeps_it_and_a_missing_path_is_fine(volumes, image):
    (image / "srv").mkdir()
    (image / "srv/file").write_text("of the image")
    volumes.create("data")
    (content(volumes) / "mine").write_text("kept")
    assert not copy_up(volumes, image, "/srv")
    assert os.listdir(content(volumes)) == ["mine"]
    assert not copy_up(volumes, image, "/nowhere", "other")
    assert not copy_up(volumes, image, "/srv/file", "third")


@pytest.mark.parametrize("link", ["/secret", "../../secret", "../../../../../../../{outside}"])
def test_a_volume_path_that_is_a_link_stays_inside_the_image(volumes, image, tmp_path, link):
    """SEC-34: what the path leads to is looked for in the image, never on the host."""
    (image / "inside").mkdir()
    target = link.replace("{outside}", str(tmp_path / "secret").lstrip("/"))
    os.symlink(target, image / "srv")
    copied = copy_up(volumes, image, "/srv")
    assert not copied or "file" not in os.listdir(content(volumes))
    (image / "secret").mkdir(exist_ok=True)
    (image / "secret/own").write_text("of the image")
    if link != "../../../../../../../{outside}":
        assert copy_up(volumes, image, "/srv", "again")
        assert os.listdir(content(volumes, "again")) == ["own"]


def test_entries_swapped_for_links_while_they_are_copied_lead_nowhere(volumes, image, tmp_path):
    """SEC-34: a container that shares the volume's source swaps folders and links."""
    (image / "srv/a").mkdir(parents=True)
    for number in range(50):
        (image / f"srv/a/{number}").write_text("of the image")
    os.symlink(tmp_path / "secret", image / "srv/b")
    done = threading.Event()

    def swap():
        while not done.is_set():
            os.rename(image / "srv/a", image / "srv/c")
            os.rename(image / "srv/b", image / "srv/a")
            os.rename(image / "srv/a", image / "srv/b")
            os.rename(image / "srv/c", image / "srv/a")

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for round in range(100):
            try:
                copy_up(volumes, image, "/srv", f"v{round}")
            except OSError:
                continue  # what it was copying had become something else: refused, not followed
    finally:
        done.set()
        swapper.join()
    for volume in volumes.list():
        for _, _, files in os.walk(volume.mountpoint):
            assert "file" not in files


def test_a_subpath_stays_inside_the_volume(volumes, tmp_path):
    """SEC-35."""
    volumes.create("data")
    made = content(volumes)
    (made / "sub/inner").mkdir(parents=True)
    os.symlink("inner", made / "sub/link")
    os.symlink("/etc", made / "out")
    os.symlink("../../../../..", made / "up")
    found = volumes.open_subpath("data", "sub/link")
    assert os.path.samestat(os.fstat(found), os.stat(made / "sub/inner"))
    os.close(found)
    for subpath in ("out", "up", "../data", "/etc", "sub/../../..", "nothing", "a" * 5000):
        with pytest.raises(InvalidVolume):
            volumes.open_subpath("data", subpath)


@settings(max_examples=300)
@given(st.text(max_size=300))
def test_no_name_leads_out_of_the_folder_of_volumes(name):
    """SEC-35."""
    try:
        check_name(name)
    except InvalidRequest:
        return
    assert "/" not in name
    assert "\0" not in name
    assert not name.startswith(".")
    assert len(name) <= 255


@pytest.mark.parametrize("name", ["..", "a/b", "/etc", "a\0b", "a\n", "-a", ".a", "", "a", "ab\n"])
def test_names_that_are_none(name):
    with pytest.raises(InvalidVolume):
        check_name(name)
