"""What paths of copies mean, and how modes are told."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from boxship.container.errors import NoSuchFile
from boxship.container.targets import base, find, go_mode, normal
from boxship.errors import InvalidRequest


@pytest.mark.parametrize(
    ("path", "meant", "called"),
    [
        ("/", "/", "/"),
        (".", "/.", "."),
        ("a", "/a", "a"),
        ("//a//b", "/a/b", "b"),
        ("/a/", "/a/", "a"),
        ("/a/.", "/a/.", "."),
        ("/a/./b", "/a/b", "b"),
        ("/a/../b/", "/b/", "b"),
        ("/../..", "/", "/"),
        ("/../../etc/", "/etc/", "etc"),
    ],
)
def test_a_path_in_its_one_spelling(path: str, meant: str, called: str) -> None:
    assert normal(path) == meant
    assert base(meant) == called


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFREG | 0o4755, 1 << 23 | 0o755),
        (stat.S_IFREG | 0o2755, 1 << 22 | 0o755),
        (stat.S_IFDIR | 0o1777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFCHR | 0o666, 1 << 26 | 1 << 21 | 0o666),
        (stat.S_IFBLK | 0o660, 1 << 26 | 0o660),
        (stat.S_IFIFO | 0o600, 1 << 25 | 0o600),
        (stat.S_IFSOCK | 0o700, 1 << 24 | 0o700),
    ],
)
def test_a_mode_as_go_has_it(mode: int, told: int) -> None:
    assert go_mode(mode) == told


def looked_up(root: Path, path: str) -> tuple[str, str, bool]:
    with ExitStack() as undo:
        folder = os.open(root, os.O_PATH)
        undo.callback(os.close, folder)
        found = find(folder, path, "box", undo)
        return found.name, found.link, found.is_folder


def test_links_are_told_of_and_followed_by_a_slash(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "one").symlink_to("/two")
    (tmp_path / "two").symlink_to("folder/../folder/deep")
    (tmp_path / "ring").symlink_to("ring")
    (tmp_path / "out").symlink_to("../../../../nowhere")
    assert looked_up(tmp_path, "/one") == ("one", "/folder/deep", False)
    assert looked_up(tmp_path, "/one/") == ("one", "", True)
    assert looked_up(tmp_path, "/one/.") == (".", "", True)
    assert looked_up(tmp_path, "/out") == ("out", "/nowhere", False)
    assert looked_up(tmp_path, "/ring") == ("ring", "/ring", False)
    with pytest.raises(InvalidRequest, match=r"^/ring/: too many levels of symbolic links$"):
        looked_up(tmp_path, "/ring/")


def test_what_is_not_there_names_path_and_container(tmp_path: Path) -> None:
    with pytest.raises(NoSuchFile, match=r"^Could not find the file /a/b in container box$"):
        looked_up(tmp_path, "/a/b")
