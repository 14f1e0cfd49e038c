"""Volumes that are mounts: there while a container has them, gone after the last one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.support.netns import in_new_host
from tests.support.networking import Heard

from boxship.store.database import Database
from boxship.volume.drivers.local import LocalDriver, is_mounted
from boxship.volume.errors import MountFailed
from boxship.volume.volumes import Volumes

pytestmark = pytest.mark.root


class Nobody:
    def using_volume(self, name: str) -> Sequence[str]:
        return ()


_opened: dict[Path, Database] = {}


def open_database(folder: Path) -> Database:
    """Open a database; whoever had it open before is gone."""
    if folder in _opened:
        _opened.pop(folder).close()
    _opened[folder] = Database(str(folder / "db"))
    return _opened[folder]


def make(folder: Path, heard: Heard | None = None) -> Volumes:
    return Volumes(
        open_database(folder),
        [LocalDriver(str(folder / "volumes"))],
        publisher=heard or Heard(),
        users=Nobody(),
        now=lambda: "2026-01-02T03:04:05Z",
    )


TMPFS = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000,nosuid,noexec"}


def test_a_tmpfs_volume_is_mounted_once_for_all_its_containers(tmp_path):
    def story():
        heard = Heard()
        volumes = make(tmp_path, heard)
        made = volumes.create("fast", options=TMPFS)
        before = is_mounted(made.mountpoint)
        path = volumes.acquire("fast", "one", destination="/data", writable=False)
        volumes.acquire("fast", "two")
        flags = os.statvfs(path).f_flag
        (Path(path) / "file").write_text("kept")
        volumes.release("fast", "one")
        content = (Path(path) / "file").read_text()
        volumes.release("fast", "two")
        volumes.release("fast", "two")  # a second time is fine
        after = is_mounted(made.mountpoint), os.listdir(path)
        return before, bool(flags & os.ST_NOSUID and flags & os.ST_NOEXEC), content, after, heard

    before, nosuid, content, after, heard = in_new_host(story)
    assert (before, nosuid, content, after) == (False, True, "kept", (False, []))
    assert [action for _, action in heard.actions()] == [
        "create", "mount", "mount", "unmount", "unmount",
    ]  # fmt: skip
    assert heard.events[1][3] == {
        "driver": "local",
        "container": "one",
        "destination": "/data",
        "read/write": "false",
        "propagation": "",
    }


def test_a_bind_volume_shows_a_folder_of_the_host_readonly(tmp_path):
    def story():
        (tmp_path / "source").mkdir()
        (tmp_path / "source/file").write_text("there")
        volumes = make(tmp_path)
        options = {"type": "none", "device": str(tmp_path / "source"), "o": "bind,ro"}
        volumes.create("bound", options=options)
        path = Path(volumes.acquire("bound", "one"))
        try:
            (path / "new").write_text("x")
            said = ""
        except OSError as refused:
            said = refused.strerror
        content = (path / "file").read_text()
        volumes.release("bound", "one")
        volumes.remove("bound")
        return content, said, (tmp_path / "source/file").exists()

    assert in_new_host(story) == ("there", "Read-only file system", True)


def test_what_cannot_be_mounted_is_told_and_leaves_the_volume_unused(tmp_path):
    def story():
        volumes = make(tmp_path)
        volumes.create("broken", options={"type": "none", "device": "/nowhere", "o": "bind"})
        try:
            volumes.acquire("broken", "one")
            said = ""
        except MountFailed as refused:
            said = str(refused)
        return said, volumes.users("broken"), volumes.get("broken").mountpoint

    said, users, mountpoint = in_new_host(story)
    assert said == (
        f"error while mounting volume '{mountpoint}': failed to mount local volume: "
        f"mount /nowhere:{mountpoint}, flags: 0x1000: no such file or directory"
    )
    assert users == []


def test_after_a_crash_mounts_of_running_containers_stay_and_others_go(tmp_path):
    def story():
        volumes = make(tmp_path)
        for name in ("kept", "left"):
            volumes.create(name, options=TMPFS)
            volumes.acquire(name, "one")
        (Path(volumes.get("kept").mountpoint) / "file").write_text("still here")
        again = make(tmp_path)
        again.restore({"kept": ["one"]})
        kept, left = again.get("kept").mountpoint, again.get("left").mountpoint
        seen = (Path(kept) / "file").read_text(), is_mounted(left)
        again.release("kept", "one")
        return seen, is_mounted(kept)

    assert in_new_host(story) == (("still here", False), False)


def test_a_removal_cut_short_and_a_folder_without_record_are_settled(tmp_path):
    """Storage without a record is taken in again; a removal that has begun is finished."""
    volumes = make(tmp_path)
    for name in ("data", "half", "ghost"):
        (Path(volumes.create(name).mountpoint) / "file").write_text(name)
    root = tmp_path / "volumes"
    os.rename(root / "half", root / ".removed.0123")  # killed between the two steps
    with open_database(tmp_path).write() as tx:
        tx.run("DELETE FROM volumes WHERE name = 'ghost'")
    again = make(tmp_path)
    assert [one.name for one in again.list()] == ["data", "ghost"]
    assert sorted(os.listdir(root)) == ["data", "ghost"]
    assert (Path(again.get("ghost").mountpoint) / "file").read_text() == "ghost"
