"""Content goes in checked, stays as it came, and leaves when nothing wants it."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from boxship.content import ingest as arriving
from boxship.content.errors import NoSuchBlob, WrongContent
from boxship.content.store import Blobs
from boxship.lib.pipe import Abandoned
from boxship.spec.digest import Digest


@pytest.fixture
def blobs(tmp_path):
    return Blobs(str(tmp_path / "blobs"))


def files(blobs):
    root = os.path.dirname(blobs.path(Digest.of(b"")))
    return sorted(os.listdir(root)), os.listdir(os.path.join(os.path.dirname(root), "ingest"))


def test_what_was_taken_in_reads_back(blobs):
    with blobs.lease() as lease:
        digest = blobs.ingest([b"one", memoryview(b"two")], lease)
    assert digest == Digest.of(b"onetwo")
    assert (blobs.read(digest), blobs.size(digest)) == (b"onetwo", 6)
    assert os.stat(blobs.path(digest)).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("announced", [{"expected": Digest.of(b"x")}, {"size": 3}, {"size": 5}])
def test_other_bytes_than_announced_leave_nothing_behind(blobs, announced):
    with blobs.lease() as lease, pytest.raises(WrongContent):
        blobs.ingest([b"four"], lease, **announced)
    assert files(blobs) == ([], [])


def test_a_stream_that_breaks_leaves_nothing_behind(blobs):
    def broken():
        yield b"begun"
        raise ConnectionResetError

    with blobs.lease() as lease, pytest.raises(ConnectionResetError):
        blobs.ingest(broken(), lease)
    assert files(blobs) == ([], [])


def test_a_lease_keeps_content_from_collection(blobs):
    with blobs.lease() as lease:
        digest = blobs.put(b"kept", lease)
        assert blobs.collect(()) == 0
        assert not blobs.delete(digest)
        assert blobs.has(digest)
    assert blobs.collect(()) == 4
    assert not blobs.has(digest)


def test_two_leases_on_one_blob_count(blobs):
    with blobs.lease() as outer:
        digest = blobs.put(b"twice", outer)
        with blobs.lease() as inner:
            blobs.put(b"twice", inner)
        assert not blobs.delete(digest)
    assert blobs.delete(digest)


def test_damage_to_a_document_is_found(blobs):
    with blobs.lease() as lease:
        digest = blobs.put(b"{}", lease)
    with open(blobs.path(digest), "r+b") as file:
        file.write(b"[]")
    with pytest.raises(WrongContent, match="damaged"):
        blobs.read(digest)


def test_a_document_larger_than_the_limit_is_not_read(blobs):
    with blobs.lease() as lease:
        digest = blobs.put(b"x" * 100, lease)
    with pytest.raises(WrongContent, match="larger than 99"):
        blobs.read(digest, 99)


def test_missing_content_is_named(blobs):
    with pytest.raises(NoSuchBlob, match=Digest.of(b"?").hex):
        blobs.read(Digest.of(b"?"))


def test_what_a_killed_process_left_half_done_goes_at_the_start(tmp_path, blobs):
    (tmp_path / "blobs" / "ingest" / "leftover").write_bytes(b"half")
    Blobs(str(tmp_path / "blobs"))
    assert files(blobs) == ([], [])


@pytest.mark.parametrize("known", [False, True])
def test_what_arrives_can_be_read_meanwhile(blobs, monkeypatch, known):
    """By one who comes first, by one who comes later; also where the store has it already."""
    monkeypatch.setattr(arriving, "FOLLOWED", 4)
    pieces = [b"one", b"two", b"three"]
    with ThreadPoolExecutor(2) as others, blobs.lease() as lease:
        if known:
            blobs.put(b"".join(pieces), lease)
        begun = threading.Event()
        with blobs.arriving() as ingest:
            first = ingest.follow()

            def read(follower):
                found = b""
                for piece in follower:
                    begun.set()
                    found += piece
                follower.close()
                return found

            early = others.submit(read, first)
            for piece in pieces:
                ingest.write(piece)
            assert begun.wait(10)
            late = others.submit(read, ingest.follow())
            blobs.commit(ingest, lease)
        assert early.result() == late.result() == b"onetwothree"


def test_who_reads_what_is_dropped_hears_of_it(blobs):
    with ThreadPoolExecutor(1) as others, blobs.lease() as lease:
        with blobs.arriving() as ingest:
            follower = ingest.follow()
            reading = others.submit(lambda: b"".join(follower))
            ingest.write(b"wrong")
            with pytest.raises(WrongContent):
                blobs.commit(ingest, lease, expected=Digest.of(b"right"))
        with pytest.raises(Abandoned):
            reading.result()
        follower.close()
    assert files(blobs) == ([], [])
