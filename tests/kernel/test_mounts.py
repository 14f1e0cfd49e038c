"""Mounts, and paths inside a root that somebody else controls."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from boxship.kernel import mounts, paths
from boxship.kernel.mounts import MS_NOSUID

pytestmark = pytest.mark.root
Isolated = Callable[[Callable[[], Any]], Any]


def make_folders(place: Path, *names: str) -> list[Path]:
    made = [place / name for name in names]
    for folder in made:
        folder.mkdir()
    return made


def test_a_readonly_bind_refuses_writes_and_stays_nosuid(
    tmp_path: Path, isolated: Isolated
) -> None:
    source, target = make_folders(tmp_path, "source", "target")

    def probe() -> tuple[int | None, bool]:
        mounts.mount("tmpfs", str(source), "tmpfs", MS_NOSUID)
        mounts.bind(str(source), str(target), readonly=True)
        with pytest.raises(OSError) as refusal:
            (target / "file").touch()
        return refusal.value.errno, bool(os.statvfs(target).f_flag & MS_NOSUID)

    assert isolated(probe) == (errno.EROFS, True)


def test_a_detached_overlay_is_seen_only_where_it_is_attached(
    tmp_path: Path, isolated: Isolated
) -> None:
    lower, upper, work, target = make_folders(tmp_path, "lower", "upper", "work", "target")
    (lower / "below").write_text("x")

    def probe() -> list[str]:
        tree = mounts.overlay([str(lower)], str(upper), str(work))
        before = os.listdir(target)
        mounts.move_mount(tree, str(target))
        return [*before, *os.listdir(target)]

    assert isolated(probe) == ["below"]


@pytest.mark.parametrize("count", [2, 3, 130])
def test_an_overlay_takes_many_folders_with_long_names(
    tmp_path: Path, isolated: Isolated, count: int
) -> None:
    if count > 100 and not mounts._knows_lowerdir_plus():
        pytest.skip("this kernel takes the names of all folders in one page")
    folders = make_folders(tmp_path, *(f"{n:03}{'x' * 80}" for n in range(count)))
    for number, folder in enumerate(folders):
        (folder / f"file{number}").touch()

    def probe() -> int:
        tree = mounts.overlay(map(str, folders))
        return len(os.listdir(os.open(".", os.O_RDONLY, dir_fd=tree)))

    assert isolated(probe) == count


def test_a_filesystem_that_cannot_be_made_says_why(isolated: Isolated) -> None:
    def probe() -> str:
        with pytest.raises(OSError) as refusal:
            mounts.new_filesystem("overlay", {"no-such-option": "1"})
        return str(refusal.value)

    # kernels before 6.5 say no more of an overlay than that something is wrong
    named = "no-such-option" if mounts._knows_lowerdir_plus() else "overlay: Invalid argument"
    assert named in isolated(probe)


def test_links_lead_nowhere_but_inside(tmp_path: Path) -> None:
    root_folder, outside = make_folders(tmp_path, "root", "outside")
    (outside / "secret").write_text("secret")
    (root_folder / "absolute").symlink_to(outside)
    (root_folder / "relative").symlink_to("../outside")
    root = os.open(root_folder, os.O_PATH)
    for path in ("absolute/secret", "relative/secret", "../outside/secret", "/../outside/secret"):
        assert paths.read_file_in_root(root, path, 100) is None
    os.close(root)


def test_folders_are_made_inside_even_through_links_that_lead_out(tmp_path: Path) -> None:
    root_folder, outside = make_folders(tmp_path, "root", "outside")
    (root_folder / "var").mkdir()
    (root_folder / "var/run").symlink_to("/run")
    (root_folder / "up").symlink_to("../../outside/made")
    root = os.open(root_folder, os.O_PATH)
    for path in ("/var/run/one/two", "up/three", "a/../b/./c"):
        os.close(paths.make_folders_in_root(root, path))
    os.close(paths.make_file_in_root(root, "/var/run/file"))
    os.close(root)
    assert (root_folder / "run/one/two").is_dir()
    assert (root_folder / "run/file").is_file()
    assert (root_folder / "outside/made/three").is_dir()
    assert (root_folder / "b/c").is_dir()
    assert list(outside.iterdir()) == []


def test_a_file_is_made_where_its_link_leads(tmp_path: Path) -> None:
    (root_folder,) = make_folders(tmp_path, "root")
    (root_folder / "etc").mkdir()
    (root_folder / "etc/resolv.conf").symlink_to("../run/resolve/stub.conf")
    root = os.open(root_folder, os.O_PATH)
    os.close(paths.make_file_in_root(root, "/etc/resolv.conf"))
    os.close(root)
    assert (root_folder / "run/resolve/stub.conf").is_file()


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    (root_folder,) = make_folders(tmp_path, "root")
    (root_folder / "a").symlink_to("b")
    (root_folder / "b").symlink_to("a")
    root = os.open(root_folder, os.O_PATH)
    with pytest.raises(OSError) as refusal:
        paths.make_folders_in_root(root, "a/c")
    assert refusal.value.errno == errno.ELOOP
    os.close(root)


def test_what_is_no_file_is_not_read_and_nothing_waits(tmp_path: Path) -> None:
    (root_folder,) = make_folders(tmp_path, "root")
    os.mkfifo(root_folder / "fifo")
    (root_folder / "null").symlink_to("/proc/self/fd/0")
    root = os.open(root_folder, os.O_PATH)
    assert paths.read_file_in_root(root, "fifo", 10) is None
    assert paths.read_file_in_root(root, ".", 10) is None
    assert paths.read_file_in_root(root, "null", 10) is None
    os.close(root)


def test_no_more_is_read_than_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"x" * 100)
    root = os.open(tmp_path, os.O_PATH)
    assert paths.read_file_in_root(root, "big", 10) == b"x" * 10
    os.close(root)


def test_the_last_name_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/link").symlink_to("/etc/passwd")
    root = os.open(tmp_path, os.O_PATH)
    folder, name = paths.parent_and_name(root, "/a/link")
    assert (os.path.samestat(os.fstat(folder), os.stat(tmp_path / "a")), name) == (True, b"link")
    os.close(folder)
    os.close(root)


def test_an_overlay_is_made_on_every_kernel(isolated: Isolated, tmp_path: Path) -> None:
    """Kernels before 6.5 took any option and refused all of them at the end: nobody had overlays
    on Debian 12, whose engine copied whole images instead.
    """
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/file").write_text("below")

    def probe() -> str:
        names = (str(tmp_path / name) for name in ("lower", "upper", "work"))
        lower, upper, work = names
        mounted = mounts.overlay([lower], upper, work)
        with open(os.open("file", os.O_RDONLY, dir_fd=mounted)) as file:
            return file.read()

    assert isolated(probe) == "below"
