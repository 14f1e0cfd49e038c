"""Large files of a context are compared with those of the last layer, not hashed and kept again."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.pouring import USUAL, Stores

from boxship.build.cache.record import Layer
from boxship.build.files.archive import Archive
from boxship.build.files.tree import MOST_LEFT_OUT, Node, Spool, indexed
from boxship.build.filesystems import EMPTY, Files
from boxship.build.ops import Action, Copy
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import chain as chain_of
from boxship.wire import tar

pytestmark = pytest.mark.root
LARGE = os.urandom(1 << 10) * 3000
SMALL = b"small"
COPY = Copy("/src", "/app/", **USUAL)


def context(large: bytes = LARGE, small: bytes = SMALL, more: int = 0) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as written:
        for name in ("src", "src/in", "src/more"):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, 0o755
            written.addfile(folder)
        files = {"src/a": b"a", "src/in/large": large, "src/small": small}
        files |= {f"src/more/{number}": LARGE for number in range(more)}
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            written.addfile(entry, io.BytesIO(data))
    return out.getvalue()


@dataclass
class Bench(Stores):
    spools: list[Spool] = field(default_factory=list)

    def archive(self, data: bytes, *, step: int = 100_000) -> Archive:
        """Take a context in that comes in pieces."""
        spool = Spool(str(self.root))
        pieces = (data[at : at + step] for at in range(0, len(data), step))
        tree = indexed(pieces, spool, 0o700, 0o022, self.tars.known)
        assert tree is not None
        self.spools.append(spool)
        return Archive(tree, spool, str(self.root / os.urandom(4).hex()))

    def build(self, archive: Archive) -> Layer:
        """Copy out of it, make an image of that, and end the build."""
        action = Action(COPY, 0, 1, output=0)
        source = Files(archive.folder, archive)
        layer = self.done((action,), [EMPTY, source], lasting=True)
        with self.blobs.lease() as lease:
            digest = self.tars.commit(layer.chain, lease)
            assert digest is not None
            name = ChainId(chain_of(None, digest))
            self.snapshots.rename(layer.chain, name, None)
            self.tars.named(layer.chain, name, digest)
        threads = set(threading.enumerate())
        archive.close()
        for thread in set(threading.enumerate()) - threads:
            thread.join()
        layer.chain = name
        return layer

    def path(self, layer: Layer, name: str) -> Path:
        return Path(self.snapshots.layer_files(layer.chain) or "", "app", name)

    def left_out(self) -> bool:
        """Whether the large file of the last context was left out."""
        return os.fstat(self.spools[-1].file).st_blocks * 512 < len(LARGE) // 2


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench.at(tmp_path, monkeypatch)


def node(archive: Archive) -> Node:
    found = archive.tree.find(b"src/in/large")
    assert found is not None
    return found[1]


def content(archive: Archive, tmp_path: Path) -> list[bytes]:
    """A large file in all the ways in which it is read."""
    spool, one = archive.tree.spool, node(archive)
    with open(tmp_path / "copy", "w+b") as file:
        file.write(b"before")
        file.flush()
        spool.copy(one, file.fileno())
    owner, at = spool.part(one)
    return [
        spool.read(one),
        b"".join(spool.pieces(one)),
        (tmp_path / "copy").read_bytes()[6:],
        os.pread(owner.file, one.st_size, at),
    ]


def test_what_is_the_same_is_left_out(bench: Bench, tmp_path: Path) -> None:
    first = bench.build(bench.archive(context()))
    assert not bench.left_out()
    data = context(small=b"other")
    archive = bench.archive(data)
    assert bench.left_out()
    assert node(archive).digest == hashlib.sha256(LARGE).digest()
    assert content(archive, tmp_path) == [LARGE] * 4
    assert archive.tree.read(b"src/in/large", 10) == LARGE[:10]
    assert b"".join(bench.spools[-1].whole()) == data

    archive.unpack()
    assert Path(archive.folder, "src/in/large").read_bytes() == LARGE
    second = bench.build(archive)
    assert bench.path(second, "in/large").samefile(bench.path(first, "in/large"))
    assert bench.path(second, "small").read_bytes() == b"other"


@pytest.mark.parametrize("at", [0, 1, 99_999, 1_500_000, len(LARGE) - 1])
@pytest.mark.parametrize("step", [5000, 131_072, 1 << 20])
def test_a_difference_is_found_wherever_it_is(
    bench: Bench, tmp_path: Path, at: int, step: int
) -> None:
    bench.build(bench.archive(context()))
    changed = bytearray(LARGE)
    changed[at] ^= 1
    data = context(bytes(changed))
    archive = bench.archive(data, step=step)
    assert node(archive).digest == hashlib.sha256(changed).digest()
    assert content(archive, tmp_path) == [bytes(changed)] * 4
    assert b"".join(bench.spools[-1].whole()) == data
    layer = bench.build(archive)
    assert bench.path(layer, "in/large").read_bytes() == changed
    assert bench.build(bench.archive(data)).chain == layer.chain
    assert bench.left_out()


def test_a_file_of_another_size_is_not_compared(bench: Bench) -> None:
    bench.build(bench.archive(context()))
    archive = bench.archive(context(LARGE + b"more"))
    assert not bench.left_out()
    assert node(archive).digest == hashlib.sha256(LARGE + b"more").digest()


def test_a_layer_that_has_gone_is_not_looked_at(bench: Bench) -> None:
    """While one that goes during a build lasts until its end."""
    first = bench.build(bench.archive(context()))
    archive = bench.archive(context(small=b"other"))
    bench.snapshots.remove_layer(first.chain)
    bench.archive(context())
    assert not bench.left_out()
    layer = bench.build(archive)
    assert bench.path(layer, "in/large").read_bytes() == LARGE


def test_a_layer_that_is_damaged_deceives_nobody(bench: Bench, tmp_path: Path) -> None:
    first = bench.build(bench.archive(context()))
    with bench.path(first, "in/large").open("r+b") as file:
        file.write(b"rotten")
    archive = bench.archive(context())
    assert not bench.left_out()
    assert node(archive).digest == hashlib.sha256(LARGE).digest()
    assert content(archive, tmp_path) == [LARGE] * 4


def test_an_archive_that_breaks_off_is_refused(bench: Bench) -> None:
    bench.build(bench.archive(context()))
    data = context()
    with pytest.raises(tar.UnexpectedEnd):
        bench.archive(data[: data.index(LARGE) + 2_000_000])


def test_no_more_files_are_open_than_a_process_may_have(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.build(bench.archive(context(more=3)))
    monkeypatch.setattr("boxship.build.files.tree.MOST_LEFT_OUT", 2)
    assert MOST_LEFT_OUT > 2
    data = context(more=3)
    archive = bench.archive(data)
    own = [
        archive.tree.spool.part(archive.tree.find(path)[1])[0] is bench.spools[-1]  # type: ignore[index]
        for path in (b"src/in/large", b"src/more/0", b"src/more/1", b"src/more/2")
    ]
    assert own == [False, False, True, True]
    assert b"".join(bench.spools[-1].whole()) == data
