"""What copies take of an archive is the same whether they look into its index or into its files."""

from __future__ import annotations

import errno
import io
import os
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxship.build.digests import Digests
from boxship.build.errors import NoSuchFile
from boxship.build.files import copy as copying
from boxship.build.files import select, unpack
from boxship.build.files.archive import Archive
from boxship.build.files.place import Given
from boxship.build.files.tree import Spool, Tree, indexed
from boxship.build.filesystems import Files, Filesystems
from boxship.build.ops import Bind, Copy
from boxship.snapshot import trees

pytestmark = pytest.mark.root

USUAL = {"follow_links": True, "contents_only": True, "make_parents": True, "wildcard": True}


def packed() -> bytes:
    out = io.BytesIO()
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("inside"))

    def add(tar: tarfile.TarFile, name: str, data: bytes | str | None, **more: int) -> None:
        entry = tarfile.TarInfo(name)
        entry.mtime = 1_600_000_000
        for key, value in more.items():
            setattr(entry, key, value)
        if data is None:
            entry.type = tarfile.DIRTYPE
        elif isinstance(data, str):
            entry.type, entry.linkname = tarfile.SYMTYPE, data
        else:
            entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data) if isinstance(data, bytes) else None)

    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, ".", None, mode=0o755)
        add(tar, "a", None, mode=0o2750, uid=7, gid=8)
        add(tar, "a/x.txt", b"x" * 3000, mode=0o4711, uid=5)
        add(tar, "a/y.o", b"")
        add(tar, "a/large", os.urandom(1 << 10) * (1 << 11), mode=0o600)
        add(tar, "implied/deep/z.txt", b"z", mode=0o644)
        add(tar, "link", "a/../implied/deep")
        add(tar, "up", "../../../a")
        add(tar, "round", "round")
        add(tar, "broken", "/nowhere")
        add(tar, "packed.tgz", inner.getvalue())
        add(tar, "n" * 200 + "/" + "m" * 200, b"long")
    return out.getvalue()


@pytest.fixture
def both(tmp_path: Path) -> tuple[Tree, Files, Files]:
    """An archive's index, as a value with it, and as a folder alone."""
    spool = Spool(str(tmp_path))
    tree = indexed((packed(),), spool, 0o700, 0o022)
    assert tree is not None
    archive = Archive(tree, spool, str(tmp_path / "unpacked"))
    archive.unpack()
    return tree, Files(archive.folder, archive), Files(archive.folder)


COPIES = [
    Copy("/", "/t/", **USUAL),
    Copy("/a", "/t", **USUAL),
    Copy("/link", "/t", **USUAL),
    Copy("/up/x.txt", "/t", **USUAL),
    Copy("/*/*.txt", "/t/", **USUAL),
    Copy("/l*", "/t/", **USUAL),
    Copy("/link/z.txt", "/t", **USUAL),
    Copy("/", "/t/", include=("*/deep",), **USUAL),
    Copy("/", "/t/", include=("**/*.txt",), exclude=("a",), **USUAL),
    Copy("/", "/t/", exclude=("a", "!a/x.txt"), **USUAL),
    Copy("/link", "/t", wildcard=False),
]


@pytest.mark.parametrize("wanted", COPIES)
def test_the_same_digest_and_the_same_files(
    both: tuple[Tree, Files, Files], wanted: Copy, tmp_path: Path
) -> None:
    _, indexed_files, folder = both
    filesystems = Filesystems(None, lambda: 0)  # type: ignore[arg-type]
    digests = Digests(filesystems)
    assert digests.of_copy(indexed_files, wanted) == digests.of_copy(folder, wanted)
    made = []
    for number, value in enumerate((indexed_files, folder)):
        place = tmp_path / f"made{number}"
        place.mkdir()
        target = os.open(place, trees.FOLDER)
        with filesystems.reading(value) as source:
            assert isinstance(source, Tree) == (number == 0)
            for match in select.matches(source, wanted):
                copying.copy(source, target, match, wanted, Given())
        made.append(dict(listed(target)))
        os.close(target)
    assert made[0] == made[1]
    assert made[0]


def listed(root: int) -> Iterator[tuple[bytes, tuple[object, ...]]]:
    for node in trees.walk(root):
        status, data = node.stat, b""
        said = status.st_mtime_ns == 1_600_000_000 * 10**9
        modified = 0 if stat.S_ISDIR(status.st_mode) and not said else status.st_mtime_ns
        if os.path.isfile(f"/proc/self/fd/{node.folder}/{os.fsdecode(node.name)}"):
            file = os.open(node.name, os.O_RDONLY, dir_fd=node.folder)
            data = os.read(file, 1 << 22)
            os.close(file)
        yield node.path, (status.st_mode, status.st_uid, status.st_gid, modified, data)


def test_a_mount_has_the_same_digest(both: tuple[Tree, Files, Files]) -> None:
    _, indexed_files, folder = both
    digests = Digests(Filesystems(None, lambda: 0))  # type: ignore[arg-type]
    for where in ("", "/a", "/link"):
        mount = Bind("/m", 0, selector=where)
        assert digests.of_mount(indexed_files, mount) == digests.of_mount(folder, mount)


@pytest.mark.parametrize("path", ["gone", "round", "broken", "a/x.txt/y", "a/x.txt/..", "up/gone"])
def test_what_is_not_there_is_missing(both: tuple[Tree, Files, Files], path: str) -> None:
    tree, _, folder = both
    root = os.open(folder.path, trees.FOLDER)
    try:
        for source in (tree, root):
            with pytest.raises(NoSuchFile):
                select._real(source, path, True)
    finally:
        os.close(root)


def test_an_archive_in_an_archive_is_unpacked(
    both: tuple[Tree, Files, Files], tmp_path: Path
) -> None:
    tree, _, _ = both
    place = tmp_path / "target"
    place.mkdir()
    target = os.open(place, trees.FOLDER)
    try:
        for name, expected in (("packed.tgz", True), ("a/x.txt", False), ("a", False)):
            (match,) = select.matches(tree, Copy(name, "/"))
            assert unpack.unpack(tree, target, match, "/in/", Given()) is expected
    finally:
        os.close(target)
    assert os.listdir(place / "in") == ["inside"]


def test_what_is_hidden_is_not_unpacked(tmp_path: Path) -> None:
    for early in (False, True):
        spool = Spool(str(tmp_path))
        tree = indexed((packed(),), spool, 0o700, 0o022)
        assert tree is not None
        archive = Archive(tree, spool, str(tmp_path / f"u{early}"))
        if early:
            archive.unpack()
        archive.hide(b"a/y.o")
        archive.hide(b"a")  # a folder stays
        archive.hide(b"gone")
        archive.unpack()
        assert sorted(os.listdir(f"{archive.folder}/a")) == ["large", "x.txt"]
        assert tree.read(b"a/y.o", 10) is None


@pytest.mark.parametrize(
    "change",
    [
        {"type": tarfile.FIFOTYPE},
        {"type": tarfile.CHRTYPE},
        {"type": tarfile.LNKTYPE, "linkname": "x"},
        {"name": "n" * 256},
        {"name": "/".join(["d"] * 2000)},
        {"uid": 1 << 32},
        {"pax_headers": {"SCHILY.xattr.user.x": "y"}},
        {"type": tarfile.SYMTYPE, "linkname": ""},
    ],
)
def test_what_is_not_plain_has_no_index(tmp_path: Path, change: dict[str, object]) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(tarfile.TarInfo("x"))
        entry = tarfile.TarInfo("y")
        for key, value in change.items():
            setattr(entry, key, value)
        tar.addfile(entry)
    assert indexed((out.getvalue(),), Spool(str(tmp_path)), 0o700, 0o022) is None


def test_a_filesystem_where_files_must_have_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def opened(path: str, flags: int, *more: int, **named: int) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", opened)
    tree = indexed((packed(),), Spool(str(tmp_path)), 0o700, 0o022)
    assert tree is not None
    assert tree.read(b"link/z.txt", 10) == b"z"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("described", [False, True])
def test_a_root_of_which_nothing_is_said_is_as_new_as_what_is_in_it(
    tmp_path: Path, described: bool
) -> None:
    """The docker client says nothing of it; the same context makes the same layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, mtime in (("old", 5), ("new", 8), ("old/newer", 9), (".", 3))[: 3 + described]:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mtime = tarfile.DIRTYPE, mtime
            tar.addfile(entry)
    tree = indexed((out.getvalue(),), Spool(str(tmp_path)), 0o700, 0o022)
    assert tree is not None
    assert tree.root.st_mtime_ns == (3 if described else 8) * 10**9
