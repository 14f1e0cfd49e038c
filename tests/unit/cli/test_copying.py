"""`cp`: where things go, and archives from strangers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxship.cli.copying.pack import Counter, pack
from boxship.cli.copying.places import Place, Plan, local_source, local_target, plan, split_argument
from boxship.cli.copying.unpack import Unpacker
from boxship.errors import BoxshipError
from boxship.wire.tar import FILE, FOLDER, HARD_LINK, SYMLINK, Entry
from boxship.wire.tarwriter import END, header, padding


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("c:/x", ("c", "/x")),
        ("/a:b", ("", "/a:b")),
        ("./a:b", ("", "./a:b")),
        ("plain", ("", "plain")),
        ("-", ("", "-")),
    ],
)
def test_an_argument_names_a_container_or_a_path(text: str, parts: tuple[str, str]) -> None:
    assert split_argument(text) == parts


def place(path: str, *, exists: bool = True, folder: bool = False) -> Place:
    return Place(path, exists=exists, is_folder=folder)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (place("/s/f"), place("/d", folder=True), ("/d", "", "")),
        (place("/s/f"), place("/d/g"), ("/d", "f", "g")),
        (place("/s/f"), place("/d/g", exists=False), ("/d", "f", "g")),
        (place("/s/d", folder=True), place("/d/n", exists=False), ("/d", "d", "n")),
        (place("/s/d/.", folder=True), place("/d/n", exists=False), ("/d", ".", "n")),
        (place("/s/d", folder=True), place("/d", folder=True), ("/d", "", "")),
    ],
)
def test_where_a_copy_goes(source: Place, target: Place, expected: tuple[str, str, str]) -> None:
    found = plan(source, target)
    assert (found.folder, found.old, found.new) == expected


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        (place("/s/d", folder=True), place("/d/f"), "cannot copy directory"),
        (place("/s/f"), place("/d/n/", exists=False), "no such directory"),
    ],
)
def test_copies_that_make_no_sense(source: Place, target: Place, problem: str) -> None:
    with pytest.raises(BoxshipError, match=problem):
        plan(source, target)


def test_what_is_packed_unpacks_the_same(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "file").write_bytes(b"x" * 70_000)
    (source / "inner" / "small").write_text("hello")
    (source / "link").symlink_to("inner/small")
    os.link(source / "file", source / "same")
    os.utime(source / "inner" / "small", (1_000_000, 1_000_000))
    target = tmp_path / "target"
    begin = local_source(str(source), follow=False)
    going = plan(begin, local_target(str(target)))
    Unpacker(going, keep_owner=False).run(pack(str(source), going, Counter()))
    assert (target / "file").read_bytes() == b"x" * 70_000
    assert (target / "inner" / "small").read_text() == "hello"
    assert (target / "inner" / "small").stat().st_mtime == 1_000_000
    assert os.readlink(target / "link") == "inner/small"
    assert (target / "same").stat().st_ino == (target / "file").stat().st_ino


def archive(*entries: Entry, content: bytes = b"owned") -> Iterator[bytes]:
    for entry in entries:
        if entry.type == FILE:
            entry.size = len(content)
            yield header(entry) + content + padding(len(content))
        else:
            yield header(entry)
    yield END


HOSTILE = {
    "a name that climbs": [Entry(b"../evil", FILE)],
    "a name that climbs late": [Entry(b"a/../../evil", FILE)],
    "a link and a file through it": [
        Entry(b"a", SYMLINK, link=b".."),
        Entry(b"a/evil", FILE),
    ],
    "an absolute link and a file through it": [
        Entry(b"a", SYMLINK, link=b"{outside}"),
        Entry(b"a/evil", FILE),
    ],
    "a folder that turns into a link": [
        Entry(b"a/", FOLDER),
        Entry(b"a", SYMLINK, link=b".."),
        Entry(b"a/evil", FILE),
    ],
    "a hard link to the outside": [Entry(b"a", HARD_LINK, link=b"../secret")],
    "a hard link through a link": [
        Entry(b"a", SYMLINK, link=b".."),
        Entry(b"b", HARD_LINK, link=b"a/secret"),
    ],
    "a folder over a link": [Entry(b"a", SYMLINK, link=b".."), Entry(b"a/", FOLDER, 0o777)],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_reaches_nothing_outside(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    target = outside / "target"
    target.mkdir(parents=True)
    (outside / "secret").write_text("secret")
    os.chmod(outside, 0o750)
    entries = HOSTILE[name]
    for entry in entries:
        entry.link = entry.link.replace(b"{outside}", os.fsencode(outside))
    with pytest.raises(BoxshipError):
        Unpacker(Plan(str(target)), keep_owner=False).run(archive(*entries))
    assert sorted(os.listdir(outside)) == ["secret", "target"]
    assert (outside / "secret").stat().st_nlink == 1
    assert outside.stat().st_mode & 0o777 == 0o750


def test_absolute_names_land_inside(tmp_path: Path) -> None:
    Unpacker(Plan(str(tmp_path)), keep_owner=False).run(archive(Entry(b"/etc/x", FILE)))
    assert (tmp_path / "etc" / "x").read_text() == "owned"


def test_a_link_that_was_there_before_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    target = tmp_path / "target"
    target.mkdir()
    (target / "x").symlink_to(victim)
    Unpacker(Plan(str(target)), keep_owner=False).run(archive(Entry(b"x", FILE)))
    assert victim.read_text() == "mine"
    assert (target / "x").read_text() == "owned"


def test_a_copy_does_not_run_as_somebody_else(tmp_path: Path) -> None:
    Unpacker(Plan(str(tmp_path)), keep_owner=False).run(archive(Entry(b"x", FILE, 0o6755)))
    assert (tmp_path / "x").stat().st_mode & 0o7777 == 0o755


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(BoxshipError, match='cannot overwrite directory "x" with non-directory'):
        Unpacker(Plan(str(tmp_path)), keep_owner=False).run(archive(Entry(b"x", FILE)))


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    whole = b"".join(archive(Entry(b"x", FILE)))
    with pytest.raises(BoxshipError):
        Unpacker(Plan(str(tmp_path)), keep_owner=False).run([whole[:514]])
