"""Copies as `docker build` makes them; permission words; what is picked."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from boxship.build.errors import NoSuchFile
from boxship.build.files import copy, modes, place, select, unpack
from boxship.build.files.place import Given
from boxship.build.ops import Copy
from boxship.errors import InvalidRequest
from boxship.snapshot import trees

USUAL = {"follow_links": True, "contents_only": True, "make_parents": True, "wildcard": True}
OWN = Given(os.getuid(), os.getgid())


def carry_out(source: Path, target: Path, path: str, where: str, **more: object) -> None:
    wanted = Copy(path, where, **{**USUAL, **more})  # type: ignore[arg-type]
    roots = [os.open(one, trees.FOLDER) for one in (source, target)]
    try:
        for match in select.matches(roots[0], wanted):
            copy.copy(roots[0], roots[1], match, wanted, OWN)
    finally:
        for root in roots:
            os.close(root)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    (root / "dir/sub").mkdir(parents=True)
    (root / "dir/a.txt").write_text("a")
    (root / "dir/sub/b.md").write_text("b")
    (root / "c.txt").write_text("c")
    (root / "link").symlink_to("dir")
    (root / "out").symlink_to("/etc/passwd")
    return root


@pytest.fixture
def target(tmp_path: Path) -> Path:
    root = tmp_path / "target"
    root.mkdir()
    return root


def listed(root: Path) -> list[str]:
    return sorted(str(one.relative_to(root)) for one in root.rglob("*"))


@pytest.mark.parametrize(
    ("path", "where", "more", "expected"),
    [
        ("/c.txt", "/x", {}, ["x"]),
        ("/c.txt", "/x/", {}, ["x", "x/c.txt"]),
        ("/dir", "/x", {}, ["x", "x/a.txt", "x/sub", "x/sub/b.md"]),
        ("/dir", "/x/", {}, ["x", "x/a.txt", "x/sub", "x/sub/b.md"]),
        ("/dir", "/y", {"contents_only": False}, ["y", "y/a.txt", "y/sub", "y/sub/b.md"]),
        ("/*.txt", "/x/", {}, ["x", "x/c.txt"]),
        ("/d*/*.txt", "/x/", {}, ["x", "x/a.txt"]),
        ("/link", "/x", {}, ["x", "x/a.txt", "x/sub", "x/sub/b.md"]),
        ("/link", "/x", {"follow_links": False}, ["x"]),
        ("/dir", "/x", {"exclude": ("**/*.md",)}, ["x", "x/a.txt", "x/sub"]),
        ("/dir", "/x", {"include": ("sub/*",)}, ["x", "x/sub", "x/sub/b.md"]),
        ("/nothing*", "/x", {"allow_no_match": True}, []),
    ],
)  # fmt: skip
def test_what_a_copy_makes(
    source: Path, target: Path, path: str, where: str, more: dict[str, object], expected: list[str]
) -> None:
    carry_out(source, target, path, where, **more)
    assert listed(target) == expected


def test_a_pattern_leads_through_no_link_and_needs_the_folder_that_it_searches(
    source: Path, target: Path
) -> None:
    (source / "again").symlink_to(".")
    carry_out(source, target, "/*/c.txt", "/x/", allow_no_match=True)
    carry_out(source, target, "/a*/*", "/x/", allow_no_match=True)
    assert listed(target) == []
    carry_out(source, target, "/link/s*/*", "/x/")
    assert listed(target) == ["x", "x/b.md"]
    with pytest.raises(NoSuchFile, match='"/gone": not found'):
        carry_out(source, target, "/gone/*", "/x/", allow_no_match=True)


def test_a_target_in_a_circle_of_links_is_told_of(source: Path, target: Path) -> None:
    (target / "loop").symlink_to("loop")
    with pytest.raises(InvalidRequest, match="/loop: too many levels of symbolic links"):
        carry_out(source, target, "/c.txt", "/loop")


def test_a_folder_that_is_there_takes_files_in_and_keeps_what_it_is(
    source: Path, target: Path
) -> None:
    (target / "x").mkdir(mode=0o700)
    (target / "x/old").write_text("old")
    carry_out(source, target, "/dir", "/x")
    assert listed(target) == ["x", "x/a.txt", "x/old", "x/sub", "x/sub/b.md"]
    assert stat.S_IMODE((target / "x").stat().st_mode) == 0o700
    carry_out(source, target, "/c.txt", "/x")
    assert (target / "x/c.txt").read_text() == "c"


def test_what_is_in_the_way_is_replaced_or_refused(source: Path, target: Path) -> None:
    (target / "x").symlink_to("y")
    carry_out(source, target, "/c.txt", "/x")
    assert (target / "y").read_text() == "c"
    assert (target / "x").is_symlink()
    (target / "dir").mkdir()
    (target / "dir/sub").write_text("a file")
    with pytest.raises(InvalidRequest, match="cannot copy to non-directory"):
        carry_out(source, target, "/dir", "/dir")
    carry_out(source, target, "/dir", "/dir", replace=True)
    assert (target / "dir/sub/b.md").read_text() == "b"


def test_links_hard_links_holes_and_times_come_along(source: Path, target: Path) -> None:
    os.link(source / "dir/a.txt", source / "dir/again")
    with (source / "dir/holes").open("wb") as file:
        file.truncate(1 << 22)
        file.seek(1 << 21)
        file.write(b"middle")
    os.utime(source / "dir/a.txt", ns=(1, 1_000_000_007))
    carry_out(source, target, "/dir", "/x", mode="u=rw,go=r")
    assert (target / "x/a.txt").stat().st_ino == (target / "x/again").stat().st_ino
    assert (target / "x/a.txt").stat().st_mtime_ns == 1_000_000_007
    assert (target / "x/holes").stat().st_size == 1 << 22
    assert (target / "x/holes").read_bytes() == (source / "dir/holes").read_bytes()
    assert (target / "x/holes").stat().st_blocks * 512 < 1 << 20
    assert stat.S_IMODE((target / "x/a.txt").stat().st_mode) == 0o644


def test_nothing_outside_is_found(source: Path, target: Path) -> None:
    for path in ("/missing", "/out", "/../../etc/passwd", "/dir/../../../etc/passwd"):
        with pytest.raises(NoSuchFile):
            carry_out(source, target, path, "/x")
    assert listed(target) == []


@pytest.mark.parametrize(
    ("mode", "said", "expected"),
    [
        (0o644, "755", 0o755),
        (0o644, "u+x", 0o744),
        (0o644, "+x", 0o755),
        (0o644, "go-r", 0o600),
        (0o4755, "0644", 0o644),
        (0o640, "a+X", 0o640),
        (0o740, "a+X", 0o751),
        (0o600, "g=u", 0o660),
        (0o644, "u+s,g+s,+t", 0o7644),
        (0o777, "u=rwx,go=", 0o700),
        (0o6755, "u=rwX,go=rX", 0o755),
        (0o6711, "g=r", 0o4741),
        (0o4711, "u=g", 0o4111),
        (0o7755, "a=r", 0o1444),
        (0o755, "-X", 0o755),
        (0o755, "a-x,+X", 0o755),
        (0o124, "u=rwX,go=rX", 0o755),
        (0o644, "o+t", 0o644),
        (0o660, "go=u-w", 0o644),
        (0o124, "u+rw,g+r,o-x,o+w", 0o766),
    ],
)
def test_permissions(mode: int, said: str, expected: int) -> None:
    assert modes.changed(stat.S_IFREG | mode, said) == expected


def test_a_path_is_resolved_though_it_does_not_exist(target: Path) -> None:
    (target / "a").symlink_to("/b/../c")
    (target / "loop").symlink_to("loop")
    root = os.open(target, trees.FOLDER)
    try:
        assert place.resolve(root, "/a/x/../y") == b"c/x/y" or place.resolve(root, "/a/y") == b"c/y"
        assert place.resolve(root, "/../../x") == b"x"
        with pytest.raises(InvalidRequest, match="loop"):
            place.resolve(root, "/loop/x")
    finally:
        os.close(root)


def test_what_an_archive_is(tmp_path: Path) -> None:
    import tarfile

    plain, packed, other = tmp_path / "a.tar", tmp_path / "a.tar.gz", tmp_path / "text"
    for path, mode in ((plain, "w"), (packed, "w:gz")):
        with tarfile.open(path, mode) as archive:
            archive.addfile(tarfile.TarInfo("x"))
    other.write_bytes(b"\x1f\x8b not really" + bytes(2000))
    for path, expected in ((plain, True), (packed, True), (other, False)):
        file = os.open(path, os.O_RDONLY)
        try:
            assert unpack.is_archive(unpack.pieces(file)) is expected
        finally:
            os.close(file)
