"""The beginnings of blobs are kept within bounds, and go on as what they were."""

import os

import pytest

from boxship.content import partial
from boxship.content.errors import WrongContent
from boxship.content.partial import Partials
from boxship.content.store import Blobs
from boxship.spec.digest import Digest

NOW = 1_700_000_000.0


def digest(number):
    return Digest.of(b"%d" % number)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(partial, "SMALLEST", 10)
    monkeypatch.setattr(partial, "LARGEST", 100)
    monkeypatch.setattr(partial, "MOST", 3)
    return tmp_path / "partial"


def put(folder, number, size, age=0.0):
    path = folder / digest(number).hex
    path.write_bytes(bytes(size))
    os.utime(path, (NOW - age, NOW - age))
    return path


def left(folder):
    return {n for n in range(10) if (folder / digest(n).hex).exists()}


def at(folder):
    return Partials(str(folder), lambda: NOW)


@pytest.mark.parametrize(
    ("there", "stay"),
    [
        ([(1, 9, 0)], set()),  # too little
        ([(1, 10, 0)], {1}),
        ([(1, 10, partial.OLDEST + 1)], set()),
        ([(n, 10, n) for n in range(5)], {0, 1, 2}),  # the newest stay
        ([(1, 60, 2), (2, 50, 1)], {2}),
        ([(1, 101, 0)], set()),
    ],
)
def test_what_is_too_little_too_much_or_too_old_goes(folder, there, stay):
    folder.mkdir()
    for one in there:
        put(folder, *one)
    partials = at(folder)
    assert left(folder) == stay
    assert partials.clear() == sum(size for number, size, _ in there if number in stay)
    assert left(folder) == set()


def test_what_is_worked_on_stays_and_nobody_else_gets_it(folder):
    partials = at(folder)
    path = put(folder, 1, 50)
    with partials.begun(digest(1), "elsewhere") as begun:
        assert (begun.path, begun.size, begun.lasts) == (str(path), 50, True)
        with partials.begun(digest(1), "elsewhere") as other:
            assert (other.path, other.size, other.lasts) == ("elsewhere", 0, False)
        assert partials.clear() == 0
    assert partials.clear() == 50


def test_on_a_full_disk_nothing_is_kept(folder, monkeypatch):
    partials = at(folder)
    put(folder, 1, 50)
    real = os.statvfs(folder)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result([*real[:4], 0, *real[5:10]]))
    assert partials.prune() == 50


@pytest.mark.parametrize("restarted", [False, True])
def test_a_blob_goes_on_from_where_it_broke_off(tmp_path, monkeypatch, restarted):
    monkeypatch.setattr(partial, "SMALLEST", 1)
    whole = os.urandom(1000)
    blobs = Blobs(str(tmp_path))
    with blobs.begun(Digest.of(whole)) as begun, blobs.arriving(limit=1000, begun=begun) as ingest:
        ingest.write(whole[:600])
        ingest.keep = True
    if restarted:
        blobs = Blobs(str(tmp_path))
    with blobs.lease() as lease, blobs.begun(Digest.of(whole)) as begun:
        assert begun.size == 600
        with blobs.arriving(limit=1000, begun=begun) as ingest:
            assert b"".join(ingest.earlier()) == whole[:600]
            ingest.write(whole[600:])
            blobs.commit(ingest, lease, expected=Digest.of(whole), size=1000)
    assert blobs.read(Digest.of(whole)) == whole
    assert not os.listdir(tmp_path / "partial")


def test_what_turns_out_wrong_is_not_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(partial, "SMALLEST", 1)
    blobs = Blobs(str(tmp_path))
    wanted = Digest.of(b"right")
    with blobs.lease() as lease, blobs.begun(wanted) as begun:
        with blobs.arriving(limit=5, begun=begun) as ingest:
            ingest.write(b"wrong")
            with pytest.raises(WrongContent):
                blobs.commit(ingest, lease, expected=wanted)
        assert begun.size == 0
    assert not os.listdir(tmp_path / "partial")
