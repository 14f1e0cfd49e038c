"""Each step of a change failing in turn: an error, nothing left behind, and it works afterwards."""

import errno
import os
import threading

import pytest
from tests.support.images import archive, docker_archive

pytestmark = pytest.mark.root
CALLS = ("open", "write", "rename", "mkdir", "fdatasync", "fsync", "link", "symlink", "utime")
LAYER = archive(("d/f", b"content", {}), ("d/l", b"2", {"type": b"2", "linkname": "f"}))
MORE = archive(("m", b"more", {}))


class Fault:
    """Makes the n-th of some system calls fail, once."""

    def __init__(self, monkeypatch, call, at):
        self.left = at
        self.hit = False
        self.turn = threading.Lock()
        real = getattr(os, call)

        def failing(*arguments, **named):
            with self.turn:
                self.left -= 1
                fails = self.left == 0
            if fails:
                self.hit = True
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*arguments, **named)

        monkeypatch.setattr(os, call, failing)


def each_step_failing(monkeypatch, call, work, check):
    """Do `work` with the first, second, ... call failing, until none is left to fail."""
    opened = len(os.listdir("/proc/self/fd"))
    for at in range(1, 500):
        with monkeypatch.context() as patch:
            fault = Fault(patch, call, at)
            failed = None
            try:
                work()
            except Exception as error:
                failed = error
        check(fault.hit, failed)
        if not fault.hit:
            assert len(os.listdir("/proc/self/fd")) <= opened + 2
            return at
    raise AssertionError("it never came to an end")


@pytest.mark.parametrize("call", CALLS)
def test_a_load_that_fails_leaves_nothing(engine, monkeypatch, call):
    data = docker_archive([LAYER, MORE], tags=["test:1"])

    def check(hit, failed):
        if hit and failed is not None:
            assert engine.images.list() == []
            engine.images.collect()
            assert engine.stored() == ([], [], [])
            assert not held(engine)
        else:
            assert [image.names for image in engine.images.list()] == [
                ("docker.io/library/test:1",)
            ]
            remove(engine, "test:1")

    each_step_failing(monkeypatch, call, lambda: engine.images.load([data]), check)


@pytest.mark.parametrize("call", CALLS)
def test_a_commit_that_fails_leaves_nothing(engine, monkeypatch, call):
    (base,) = engine.images.load([docker_archive([LAYER])])
    settled(engine)
    before = engine.stored()

    def check(hit, failed):
        made = engine.images.find("made")
        if hit and failed is not None:
            assert made is None
            engine.images.collect()
            assert engine.stored() == before
        else:
            remove(engine, "made")

    each_step_failing(
        monkeypatch, call, lambda: engine.images.commit(base, [MORE], base.run, name="made"), check
    )


@pytest.mark.parametrize("call", ["open", "rename", "mkdir", "symlink"])
def test_a_snapshot_that_fails_is_not_there(engine, monkeypatch, call):
    (base,) = engine.images.load([docker_archive([LAYER])])
    settled(engine)

    def check(hit, failed):
        assert engine.snapshots.exists("one") == (failed is None)
        engine.snapshots.remove("one")
        assert engine.stored()[2] == []

    each_step_failing(
        monkeypatch, call, lambda: engine.snapshots.prepare("one", base.chain_id), check
    )


def settled(engine):
    """Wait for what goes on in the background."""
    thread = engine.snapshots._settling
    if thread is not None:
        thread.join()


def remove(engine, name):
    settled(engine)
    engine.images.remove(name, force=True)


def held(engine):
    return +engine.blobs._held
