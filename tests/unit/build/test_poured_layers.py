"""What is copied out of an archive into a new folder is made quickly, and no different."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.support.pouring import USUAL, Stores

from boxship.build.cache.record import Layer
from boxship.build.files.archive import Archive
from boxship.build.files.tree import Spool, indexed
from boxship.build.filesystems import EMPTY, Files, Layers, Value
from boxship.build.ops import Action, Copy, MakeFile, MakeFolder, Owner
from boxship.content.store import Blobs, Lease
from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest
from boxship.spec.digest import chain as chain_of

pytestmark = pytest.mark.root
NANO = 123_456_789
LARGE = os.urandom(1 << 10) * 300
HUGE = os.urandom(1 << 10) * 1024  # large enough to come first in its folder


def context(changed: bytes = b"one", **more: Any) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, data: bytes | str | None, **said: Any) -> None:
            entry = tarfile.TarInfo(name)
            entry.mtime = 1_600_000_000 + NANO / 1e9
            for key, value in {**said, **more}.items():
                setattr(entry, key, value)
            if data is None:
                entry.type, entry.mode = tarfile.DIRTYPE, said.get("mode", 0o755)
            elif isinstance(data, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, data
            else:
                entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data) if isinstance(data, bytes) else None)

        add("a", None, mode=0o2775, gid=50)
        add("a/changes", changed)
        add("a/empty", b"")
        add("a/huge", HUGE)
        add("a/huger", HUGE + b"!")
        add("a/large", LARGE, mode=0o600)
        add("a/run", b"#!", mode=0o4755, uid=7, gid=8)
        add("a.b", b"sorted between a and a/")
        add("deep/er/x", b"implied folders")
        add("link", "a/../deep", mode=0o777)
        add("n" * 120 + "/" + "ü" * 40, b"long", mode=0o644)
        add("z", b"z" * 512)
        add("zz", HUGE)
    return out.getvalue()


@dataclass
class Bench(Stores):
    archives: list[Archive] = field(default_factory=list)

    def archive(self, data: bytes) -> Files:
        spool = Spool(str(self.root))
        tree = indexed((data,), spool, 0o700, 0o022)
        assert tree is not None
        archive = Archive(tree, spool, str(self.root / os.urandom(4).hex()))
        self.archives.append(archive)
        return Files(archive.folder, archive)

    def perform(self, base: Value, source: Value, does: Any, **more: Any) -> Layer:
        return self.done((Action(does, 0, 1, output=0),), [base, source], **more)

    def contents(self, layer: Layer) -> dict[bytes, tuple[object, ...]]:
        """What is in a layer and those below; times of folders that nobody gave one are left."""
        found: dict[bytes, tuple[object, ...]] = {}
        mounted = self.snapshots.view(layer.chain)
        root = os.open(".", trees.FOLDER, dir_fd=mounted)
        os.close(mounted)
        for node in trees.walk(root):
            status, content = node.stat, b""
            if stat.S_ISREG(status.st_mode):
                with open(os.open(node.name, os.O_RDONLY, dir_fd=node.folder), "rb") as file:
                    content = file.read()
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(node.name, dir_fd=node.folder)
            owner = (status.st_uid, status.st_gid)
            time = 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
            found[node.path] = (status.st_mode, *owner, time, content)
        os.close(root)
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench.at(tmp_path, monkeypatch)
    yield made
    for archive in made.archives:
        archive.close()


PLACES = ["/", "/app", "/app/", "/not/yet/there/", "/there", "/there/and", "/full"]
COPIES = [
    {},
    {"owner": Owner(3, 4)},
    {"mode": "u=rwX,go=rX"},
    {"timestamp": 1_500_000_000 * 10**9 + 5},
    {"exclude": ("a/large", "**/x")},
    {"include": ("deep", "a/run")},
]


def base(bench: Bench) -> Layers:
    """Some folders: an empty one, and one that is not."""
    layer = bench.perform(EMPTY, EMPTY, MakeFolder("/there/and", parents=True))
    full = bench.perform(Layers(layer.chain), EMPTY, MakeFolder("/full/deep", parents=True))
    file = bench.perform(Layers(full.chain), EMPTY, MakeFile("/full/z", b"old"))
    return Layers(file.chain)


@pytest.mark.parametrize("more", COPIES, ids=lambda more: "-".join(more) or "plain")
@pytest.mark.parametrize("target", PLACES)
def test_a_layer_is_the_same_however_its_files_are_made(
    bench: Bench, target: str, more: dict[str, Any]
) -> None:
    """From the archive or from a folder; its archive is what the packer would make of it."""
    source, below = bench.archive(context()), base(bench)
    wanted = Copy("/", target, **USUAL, **more)
    poured = bench.perform(below, source, wanted, lasting=True)
    assert source.archive is not None
    source.archive.unpack()
    copied = bench.perform(below, Files(source.path), wanted)
    assert bench.contents(poured) == bench.contents(copied)
    packed = b"".join(bench.snapshots.layer_diff(poured.chain))
    files = bench.snapshots.layer_files(poured.chain)
    assert files is not None
    root = os.open(files, trees.FOLDER)
    assert bench.snapshots.layers()[poured.chain] == trees.usage(root)
    os.close(root)
    with bench.blobs.lease() as lease:
        digest = bench.tars.commit(poured.chain, lease)
        if target in ("/", "/there", "/full"):  # there is something in them
            assert digest is None
        else:
            assert digest is not None
            assert b"".join(bench.blobs.chunks(digest)) == packed
            assert digest.hex == hashlib.sha256(packed).hexdigest()


def test_what_is_large_comes_first_in_its_folder(bench: Bench) -> None:
    """So that a blob begins like the last one, and is hashed from where it differs."""
    wanted = Copy("/", "/app/", **USUAL)
    layer = bench.perform(EMPTY, bench.archive(context()), wanted, lasting=True)
    with tarfile.open(
        fileobj=io.BytesIO(b"".join(bench.snapshots.layer_diff(layer.chain)))
    ) as layer_tar:
        names = layer_tar.getnames()
    assert names[:7] == [
        "app", "app/zz", "app/a", "app/a/huge", "app/a/huger", "app/a/changes", "app/a/empty",
    ]  # fmt: skip
    assert [name for name in names if "hug" not in name and "zz" not in name] == sorted(
        (name for name in names if "hug" not in name and "zz" not in name),
        key=lambda name: name.split("/"),
    )


def test_times_that_not_every_filesystem_keeps_are_left_to_the_packer(bench: Bench) -> None:
    source = bench.archive(context(mtime=-5))
    layer = bench.perform(EMPTY, source, Copy("/", "/app/", **USUAL), lasting=True)
    with bench.blobs.lease() as lease:
        assert bench.tars.commit(layer.chain, lease) is None


def test_an_archive_that_nobody_wants_goes_with_its_build(bench: Bench) -> None:
    source = bench.archive(context())
    bench.perform(EMPTY, source, Copy("/", "/app/", **USUAL), lasting=True)
    arriving = bench.root / "blobs" / "ingest"
    assert os.listdir(arriving)
    bench.archives[-1].close()
    for _ in range(500):
        if not os.listdir(arriving):
            break
        time.sleep(0.01)
    assert not os.listdir(arriving)


def test_a_copy_that_fails_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(Spool, "copy", fail)
    for target in ("/a/", "/full/"):
        below, source = base(bench), bench.archive(context())
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="no space"):
            bench.perform(below, source, Copy("/", target, **USUAL), lasting=True)
        assert len(os.listdir("/proc/self/fd")) == before
    assert not os.listdir(bench.root / "blobs" / "ingest")
    assert not os.listdir(bench.root / "snapshots" / "overlay2" / "active")


def packed(bench: Bench, layer: Layer, below: Layers, source: Files, lease: Lease) -> Digest:
    """Do what an export does with a layer, and end its build."""
    digest = bench.tars.commit(layer.chain, lease)
    assert digest is not None
    made, name = layer.chain, ChainId(chain_of(below.chain, digest))
    bench.snapshots.rename(made, name, below.chain)
    bench.tars.named(made, name, digest)
    layer.chain = name
    threads = set(threading.enumerate())
    next(one for one in bench.archives if one is source.archive).close()
    for thread in set(threading.enumerate()) - threads:
        thread.join()
    return digest


def inode(bench: Bench, layer: Layer, path: str) -> tuple[int, int]:
    files = bench.snapshots.layer_files(layer.chain)
    status = os.stat(f"{files}/{path}", follow_symlinks=False)
    return status.st_ino, status.st_nlink


@pytest.mark.parametrize("more", COPIES[:4], ids=lambda more: "-".join(more) or "plain")
def test_what_has_not_changed_is_the_same_file_in_both_layers(
    bench: Bench, more: dict[str, Any]
) -> None:
    """And the same part of the layers' archives; each layer can go without the other."""
    below, wanted = base(bench), Copy("/", "/app/", **USUAL, **more)
    blobs, snapshots = bench.blobs, bench.snapshots
    with blobs.lease() as lease, blobs.lease():
        source = bench.archive(context(b"one"))
        first = bench.perform(below, source, wanted, lasting=True)
        whole = packed(bench, first, below, source, lease)
        source = bench.archive(context(b"two!"))
        second = bench.perform(below, source, wanted, lasting=True)
        pieced = packed(bench, second, below, source, lease)
    assert blobs.has(pieced)
    assert not blobs.has_whole(pieced)
    assert os.stat(bench.root / f"blobs/sha256/{pieced.hex}.pieces").st_size < len(LARGE)

    assert inode(bench, first, "app/a/large") == inode(bench, second, "app/a/large")
    assert inode(bench, second, "app/a/large")[1] == 2
    assert inode(bench, second, "app/a/changes")[1] == 1

    source = bench.archive(context(b"two!"))
    assert source.archive is not None
    source.archive.unpack()
    copied = bench.contents(bench.perform(below, Files(source.path), wanted))
    assert bench.contents(second) == copied
    archive = b"".join(snapshots.layer_diff(second.chain))
    assert b"".join(blobs.chunks(pieced)) == archive
    assert blobs.size(pieced) == len(archive)
    assert Digest.of(archive) == pieced

    snapshots.remove_layer(first.chain)
    assert bench.contents(second) == copied
    assert not blobs.delete(whole)  # the other one is in pieces of it
    again = Blobs(blobs.root)
    assert b"".join(again.chunks(pieced)) == archive
    os.close(again.open(pieced))
    assert again.has_whole(pieced)
    assert again.delete(whole)
    assert b"".join(again.chunks(pieced)) == archive


def test_a_copy_made_again_makes_nothing_anew(bench: Bench) -> None:
    below, wanted = base(bench), Copy("/", "/app/", **USUAL)
    with bench.blobs.lease() as lease:
        sources = [bench.archive(context()) for _ in range(2)]
        layers = [
            bench.perform(below, sources[0], wanted, lasting=True),
            bench.perform(below, sources[1], wanted, lasting=True),
        ]
        first = packed(bench, layers[0], below, sources[0], lease)
        second = packed(bench, layers[1], below, sources[1], lease)
    assert first == second


def test_an_archive_with_other_times_is_whole(bench: Bench) -> None:
    """In pieces it would have all bytes of its own, and so would those that come after it."""
    below, wanted = base(bench), Copy("/", "/app/", **USUAL)
    digests: list[Digest] = []
    with bench.blobs.lease() as lease:
        for data in (context(), context(b"2", mtime=7), context(b"33", mtime=7)):
            source = bench.archive(data)
            layer = bench.perform(below, source, wanted, lasting=True)
            digests.append(packed(bench, layer, below, source, lease))
    assert [bench.blobs.has_whole(digest) for digest in digests] == [True, True, False]
    assert bench.blobs.bases(digests) == {digests[1]}


def test_a_layer_that_has_been_unpacked_again_is_not_linked_to(bench: Bench) -> None:
    """Its files have other times, since archives know whole seconds."""
    below, wanted = base(bench), Copy("/", "/app/", **USUAL)
    with bench.blobs.lease() as lease:
        source = bench.archive(context(b"one"))
        first = bench.perform(below, source, wanted, lasting=True)
        digest = packed(bench, first, below, source, lease)
        bench.snapshots.remove_layer(first.chain)
        bench.snapshots.apply(below.chain, bench.blobs.chunks(digest), digest)
        source = bench.archive(context(b"two!"))
        second = bench.perform(below, source, wanted, lasting=True)
    assert inode(bench, second, "app/a/large")[1] == 1


def test_a_file_with_too_many_names_is_made_anew(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    below, wanted = base(bench), Copy("/", "/app/", **USUAL)
    with bench.blobs.lease() as lease:
        source = bench.archive(context(b"one"))
        first = bench.perform(below, source, wanted, lasting=True)
        packed(bench, first, below, source, lease)

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.EMLINK, "too many")

        monkeypatch.setattr(os, "link", full)
        again = bench.perform(below, bench.archive(context(b"one")), wanted, lasting=True)
        assert bench.contents(again) == bench.contents(first)
        assert inode(bench, again, "app/a/large")[1] == 1
