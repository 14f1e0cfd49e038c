"""Blobs put together, and blobs in pieces of others."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxship.content import assembly, states
from boxship.content.assembly import OWN, Assembly
from boxship.content.errors import NoSuchBlob, WrongContent
from boxship.content.store import Blobs
from boxship.lib.filepart import FilePart
from boxship.spec.digest import Digest

BASE = random.Random(1).randbytes(3_000_000)


class Source:
    def __init__(self, path: Path, data: bytes) -> None:
        path.write_bytes(data)
        self.path = path
        self.file = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.file)


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(str(tmp_path / "blobs"))


def pieced(blobs: Blobs, source: Source) -> tuple[Digest, Digest, bytes]:
    """A blob that begins as BASE, has something else, and goes on with more of BASE."""
    with blobs.lease() as lease:
        base = blobs.put(BASE, lease)
        with blobs.assembling(base) as made:
            made.add(BASE[:1000], 0)
            made.add_file(source, 1000, 2_000_000, 1000)
            made.add(b"new")
            made.add_file(source, 7, 50)
            made.add(BASE[2_500_000:2_600_000], 2_500_000)
            digest = blobs.commit_assembled(made, lease)
    whole = BASE[:2_001_000] + b"new" + BASE[7:57] + BASE[2_500_000:2_600_000]
    return base, digest, whole


def test_what_is_put_together_is_a_blob_like_any_other(blobs: Blobs, tmp_path: Path) -> None:
    source = Source(tmp_path / "source", BASE)
    with blobs.lease() as lease, blobs.assembling() as made:
        made.add(b"first")
        made.add_file(source, 5, 2_999_995)
        made.add(b"")
        made.add(b"last")
        digest = blobs.commit_assembled(made, lease)
        assert digest == Digest.of(b"first" + BASE[5:] + b"last")
        assert blobs.read(digest) == b"first" + BASE[5:] + b"last"
        blobs.flush([digest])
    assert not os.listdir(os.path.join(blobs.root, "ingest"))


def test_a_blob_in_pieces_is_read_as_if_it_were_whole(blobs: Blobs, tmp_path: Path) -> None:
    base, digest, whole = pieced(blobs, Source(tmp_path / "source", BASE))
    assert digest == Digest.of(whole)
    for store in (blobs, Blobs(blobs.root)):
        assert store.has(digest)
        assert not store.has_whole(digest)
        assert store.size(digest) == len(whole)
        assert b"".join(store.chunks(digest)) == whole
        assert set(store.digests()) == {base, digest}
        assert store.bases([digest, base]) == {base}
    assert os.stat(os.path.join(blobs.root, "sha256", digest.hex + ".pieces")).st_size < 1000
    blobs.flush([digest])


def test_who_wants_a_file_gets_it_whole(blobs: Blobs, tmp_path: Path) -> None:
    base, digest, whole = pieced(blobs, Source(tmp_path / "source", BASE))
    file = blobs.open(digest)
    assert os.pread(file, len(whole) + 1, 0) == whole
    os.close(file)
    assert blobs.has_whole(digest)
    assert os.listdir(os.path.join(blobs.root, "sha256")).count(digest.hex + ".pieces") == 0
    assert blobs.delete(base)
    assert b"".join(blobs.chunks(digest)) == whole


def test_a_base_stays_until_nothing_is_in_pieces_of_it(blobs: Blobs, tmp_path: Path) -> None:
    base, digest, _ = pieced(blobs, Source(tmp_path / "source", BASE))
    assert not blobs.delete(base)
    assert blobs.collect({digest} | blobs.bases([digest])) == 0
    assert blobs.collect(()) > 0
    assert list(blobs.digests()) == []
    assert not os.listdir(os.path.join(blobs.root, "sha256"))


def test_a_base_stays_while_something_is_put_together_of_it(blobs: Blobs) -> None:
    with blobs.lease() as lease:
        base = blobs.put(BASE, lease)
        made = blobs.assembling(base)
    assert not blobs.delete(base)
    made.drop()
    assert blobs.delete(base)


def test_damage_is_found(blobs: Blobs, tmp_path: Path) -> None:
    base, digest, whole = pieced(blobs, Source(tmp_path / "source", BASE))
    with open(blobs.path(base), "r+b") as file:
        file.seek(100)
        file.write(b"rotten")
    assert b"".join(blobs.chunks(digest)) != whole
    with pytest.raises(WrongContent):
        blobs.open(digest)
    os.unlink(blobs.path(base))
    with pytest.raises(NoSuchBlob):
        b"".join(blobs.chunks(digest))


@pytest.mark.parametrize("left", [0, 8, 40, -1])
def test_pieces_that_a_power_cut_has_torn_are_none(blobs: Blobs, tmp_path: Path, left: int) -> None:
    _, digest, _ = pieced(blobs, Source(tmp_path / "source", BASE))
    path = os.path.join(blobs.root, "sha256", digest.hex + ".pieces")
    with open(path, "r+b") as file:
        file.truncate(left if left >= 0 else os.stat(path).st_size + left)
    assert not Blobs(blobs.root).has(digest)
    assert not os.path.exists(path)


def test_a_failure_of_a_thread_is_heard(tmp_path: Path) -> None:
    source = Source(tmp_path / "source", b"short")
    with Assembly(str(tmp_path / "made")) as made:
        made.add_file(source, 0, 10, OWN)
        with pytest.raises(WrongContent):
            made.finish()
    assert not (tmp_path / "made").exists()


def test_runs_that_follow_each_other_are_one(tmp_path: Path) -> None:
    path = tmp_path / "made"
    with Assembly(str(path), Digest.of(b"")) as made:
        for at in (0, 3, 6, OWN, OWN, 9, 20):
            made.add(b"abc", at)
        made.finish()
        file = os.open(path, os.O_RDONLY)
        found = assembly.read_pieces(file)
        os.close(file)
    assert found.runs == [(0, 9), (OWN, 6), (9, 3), (20, 3)]


def hashed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each assembly hashes, from now on, one after the other."""
    sizes: list[int] = []
    update = Assembly._update

    def count(self: Assembly, data: bytes | memoryview) -> None:
        sizes.append(len(data))
        update(self, data)

    monkeypatch.setattr(Assembly, "_update", count)
    return sizes


@pytest.mark.parametrize("restarted", [False, True])
def test_what_a_blob_begins_with_like_its_base_is_not_hashed_again(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarted: bool
) -> None:
    """From the second time on, where it was not this store that made the base."""
    monkeypatch.setattr(states, "EVERY", 1 << 20)
    source = Source(tmp_path / "source", BASE)
    with blobs.lease() as lease:
        with blobs.assembling() as made:
            made.add(BASE[:10])
            made.add_file(source, 10, len(BASE) - 10)
            base = blobs.commit_assembled(made, lease)
        assert base == Digest.of(BASE)
        store = Blobs(blobs.root) if restarted else blobs
        expected = Digest.of(BASE[:2_500_000] + b"new" + BASE[2_500_010:])
        for again in (False, True):
            sizes = hashed(monkeypatch)
            with store.assembling(base) as made:
                made.add(BASE[:1000])
                made.add_known(1000, 1_000_000)
                made.add(BASE[1_001_000:1_001_500], 1_001_000)
                made.add_known(1_001_500, 2_500_000 - 1_001_500)
                made.add(b"new")
                made.add_known(2_500_010, len(BASE) - 2_500_010)
                assert store.commit_assembled(made, lease) == expected
            assert (sum(sizes) < 1_500_000) == (again or not restarted)
            assert b"".join(store.chunks(expected)) == BASE[:2_500_000] + b"new" + BASE[2_500_010:]


@pytest.mark.parametrize("first", [b"", b"x", BASE[:4], BASE[:4] + b"x"])
def test_what_only_looks_like_the_base_is_hashed(blobs: Blobs, first: bytes) -> None:
    with blobs.lease() as lease:
        base = blobs.put(BASE, lease)
        with blobs.assembling(base) as made:
            made.add(first)
            made.add_known(4, 2_000_000)
            made.add_known(1000, 70)
            digest = blobs.commit_assembled(made, lease)
        whole = first + BASE[4:2_000_004] + BASE[1000:1070]
        assert digest == Digest.of(whole)
        assert b"".join(blobs.chunks(digest)) == whole
        with blobs.assembling(base) as made:
            made.add(BASE[:7])
            made.add_known(7, len(BASE) - 7)
            assert blobs.commit_assembled(made, lease) == base
        with blobs.assembling(base) as made:
            made.add_known(0, 5)
            short = blobs.commit_assembled(made, lease)
        assert short == Digest.of(BASE[:5])
        with blobs.assembling(base) as made:
            assert blobs.commit_assembled(made, lease) == Digest.of(b"")


def test_states_are_few_and_true() -> None:
    known = states.States()
    whole = hashlib.sha256()
    for _ in range(100):
        whole.update(bytes(1 << 20))
        known.note(100 << 20, hashlib.sha256())
        known.note(99 << 20, hashlib.sha256(b"too late"))
    assert len(known._found) == 1
    assert known.before(5)[0] == 0
    assert known.before(100 << 20)[0] == 100 << 20
    assert known.before(5)[1].digest() == hashlib.sha256().digest()
    several = states.StatesOfBlobs()
    for number in range(states.BLOBS + 1):
        several.keep(Digest.of(b"%d" % number), known)
    assert several.of(Digest.of(b"1")) is known
    assert several.of(Digest.of(b"0")) is not known


def test_what_is_complete_goes_to_the_disk_before_anybody_wants_it(
    blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = threading.Event()
    monkeypatch.setattr(assembly, "FLUSHED", 1000)
    monkeypatch.setattr(os, "fdatasync", lambda file: flushed.set())
    with blobs.lease() as lease, blobs.assembling() as made:
        made.add_file(Source(tmp_path / "source", BASE), 0, 3_000_000)
        made.complete()
        assert flushed.wait(30)
        made.complete()
        assert blobs.commit_assembled(made, lease) == Digest.of(BASE)


def test_files_that_are_closed_then_are_taken(blobs: Blobs, tmp_path: Path) -> None:
    """Those that wait to be hashed are open no longer than that, and not too many at a time."""
    path = tmp_path / "source"
    path.write_bytes(BASE)
    most = 0

    def opened() -> int:
        found = 0
        for number in os.listdir("/proc/self/fd"):
            with contextlib.suppress(FileNotFoundError):
                found += os.readlink(f"/proc/self/fd/{number}") == str(path)
        return found

    def parts() -> Iterator[bytes | FilePart]:
        nonlocal most
        for number in range(200):
            yield b"%d" % number
            file = os.open(path, os.O_RDONLY)
            try:
                yield FilePart(file, 20_000 + number)
            finally:
                os.close(file)
            most = max(most, opened())

    with blobs.lease() as lease:
        digest = blobs.assemble(parts(), lease)
    whole = b"".join(b"%d" % number + BASE[: 20_000 + number] for number in range(200))
    assert blobs.read(digest) == whole
    assert most < 50
    assert not opened()


def test_what_is_not_wanted_any_more_ends_soon(blobs: Blobs, tmp_path: Path) -> None:
    """Its threads do not go on to the end of a large file."""
    source = Source(tmp_path / "source", BASE)
    os.truncate(source.path, 1 << 40)
    unwanted = threading.Event()
    with blobs.assembling(unwanted=unwanted) as made:
        made.add_file(source, 1 << 30, 1 << 40)
        unwanted.set()
        with pytest.raises(WrongContent, match="not wanted"):
            made.finish()
    with blobs.assembling() as made:
        made.add_file(source, 1 << 30, 1 << 40)
    assert not os.listdir(os.path.join(blobs.root, "ingest"))
