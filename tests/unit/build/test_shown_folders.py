"""What is copied out of another result is poured with its archive, and is no different."""

from __future__ import annotations

import gc
import hashlib
import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.pouring import USUAL, Held, Stores

from boxship.build.cache.record import Layer
from boxship.build.files import shown
from boxship.build.filesystems import EMPTY, Layers, Value
from boxship.build.ops import Action, Copy, MakeFolder, Owner
from boxship.content.assembly import Assembly
from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId

pytestmark = pytest.mark.root
LARGE = os.urandom(1 << 10) * 1500
SECOND = 1_000_000_000


@dataclass
class Build(Held):
    """The build that an image is made in."""

    ends: list[Callable[[], object]] = field(default_factory=list)

    def then(self, work: Callable[[], object]) -> None:
        self.ends.append(work)

    def end(self) -> None:
        for work in self.ends:
            work()


class Bench(Stores):
    def result(self, fill: Callable[[Path], object]) -> Layers:
        """What another stage has made, in two layers."""
        filesystems = self.changes.filesystems
        held, parent = cast(Any, Held()), None
        for number in range(2):
            writable = filesystems.change(parent, bare=True)
            root = Path(f"/proc/self/fd/{writable.mount}")
            if number:
                fill(root)
            else:
                (root / "below").mkdir()
                (root / "below/gone").write_text("gone")
            parent = filesystems.keep(writable, "a step", held).chain
        return Layers(parent)

    def copied(self, base: Value, source: Layers, wanted: Copy, build: Build | None) -> Layer:
        more = {} if build is None else {"lasting": True, "build": build}
        return self.done((Action(wanted, 0, 1, output=0),), [base, source], **more)

    def contents(self, layer: Layer) -> dict[bytes, tuple[object, ...]]:
        """All of a layer's own files; times of folders that nobody gave one are left out."""
        found: dict[bytes, tuple[object, ...]] = {}
        files = self.snapshots.layer_files(layer.chain)
        assert files is not None
        root = os.open(files, trees.FOLDER)
        for node in trees.walk(root):
            status, path = node.stat, f"/proc/self/fd/{node.folder}/".encode() + node.name
            kind = stat.S_IFMT(status.st_mode)
            content = b""
            if kind == stat.S_IFREG:
                content = Path(os.fsdecode(path)).read_bytes()
            elif kind == stat.S_IFLNK:
                content = os.readlink(path)
            said = (status.st_mode, status.st_uid, status.st_gid, status.st_nlink)
            blocks = status.st_blocks if kind == stat.S_IFREG else 0
            mtime = 0 if kind == stat.S_IFDIR else status.st_mtime_ns
            attributes = sorted(
                name
                for name in os.listxattr(path, follow_symlinks=False)
                if not name.startswith("trusted.overlay")
            )
            found[node.path] = (*said, blocks, mtime, content, attributes)
        os.close(root)
        return found


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(shown, "shares_blocks", lambda folder: False)
    return cast(Bench, Bench.at(tmp_path, monkeypatch))


def plain(root: Path) -> None:
    (root / "app/deep/er").mkdir(parents=True)
    (root / "app/run").write_bytes(b"#!")
    (root / "app/run").chmod(0o4755)
    (root / "app/deep/large").write_bytes(LARGE)
    (root / "app/deep/er/small").write_bytes(b"small")
    (root / "app/empty").write_bytes(b"")
    os.chown(root / "app/empty", 5, 6)
    (root / "app/link").symlink_to("deep/../run")
    (root / "app/deep").chmod(0o2750)
    (root / "to-app").symlink_to("app")
    os.utime(root / "app/run", ns=(SECOND, 1_234_567_890_123_456_789))
    os.utime(root / "app/deep", ns=(SECOND, 1_000_000_000_123_456_789))
    (root / "below/gone").unlink()


COPIES: list[dict[str, Any]] = [
    {},
    {"owner": Owner(3, 4)},
    {"mode": "u=rwX,go=rX"},
    {"timestamp": 1_500_000_000 * SECOND + 5},
    {"exclude": ("deep/large",)},
    {"include": ("**/small",)},
]


@pytest.mark.parametrize("more", COPIES, ids=lambda more: "-".join(more) or "plain")
@pytest.mark.parametrize("path", ["/app", "/to-app/deep", "/"])
@pytest.mark.parametrize("target", ["/", "/new/place/", "/there"])
def test_a_layer_is_the_same_however_it_is_copied(
    bench: Bench, path: str, target: str, more: dict[str, Any]
) -> None:
    """And its archive is what the packer makes of it."""
    source, build = bench.result(plain), Build()
    there = bench.done((Action(MakeFolder("/there"), 0, -1, output=0),), [EMPTY])
    base, wanted = Layers(there.chain), Copy(path, target, **USUAL, **more)
    poured = bench.copied(base, source, wanted, build)
    assert bench.contents(poured) == bench.contents(bench.copied(base, source, wanted, None))
    whole = b"".join(bench.snapshots.layer_diff(poured.chain))
    with bench.blobs.lease() as lease:
        digest = bench.tars.commit(poured.chain, lease)
        if target == "/":  # there is something in it
            assert digest is None
        else:
            assert digest is not None
            assert digest.hex == hashlib.sha256(whole).hexdigest()
            assert b"".join(bench.blobs.chunks(digest)) == whole
            bench.tars.named(poured.chain, ChainId(digest), digest)
    build.end()
    assert not os.listdir(bench.root / "copies")


def linked(root: Path) -> None:
    plain(root)
    (root / "app/zz").hardlink_to(root / "app/deep/large")


def attributed(root: Path) -> None:
    plain(root)
    os.setxattr(root / "app/run", "user.kind", b"special")


def attributed_itself(root: Path) -> None:
    plain(root)
    os.setxattr(root / "app", "user.kind", b"special")


def sparse(root: Path) -> None:
    plain(root)
    os.truncate(root / "app/empty", 1 << 24)


def piped(root: Path) -> None:
    plain(root)
    os.mkfifo(root / "app/pipe")


@pytest.mark.parametrize("fill", [linked, attributed, attributed_itself, sparse, piped])
def test_what_is_not_plain_is_copied_as_it_is(bench: Bench, fill: Callable[[Path], object]) -> None:
    source, wanted = bench.result(fill), Copy("/app", "/new/", **USUAL)
    layer = bench.copied(EMPTY, source, wanted, Build())
    assert bench.contents(layer) == bench.contents(bench.copied(EMPTY, source, wanted, None))
    with bench.blobs.lease() as lease:
        assert bench.tars.commit(layer.chain, lease) is None


def test_what_nobody_wants_goes_with_its_build(bench: Bench) -> None:
    source, build = bench.result(plain), Build()
    bench.copied(EMPTY, source, Copy("/app", "/new/", **USUAL), build)
    arriving = bench.root / "blobs" / "ingest"
    assert os.listdir(arriving)
    build.end()
    deadline = time.monotonic() + 60
    while os.listdir(arriving):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_copy_that_fails_leaves_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "no space")

    source = bench.result(plain)
    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(shown.ShownFolder, "copy", fail)
    with pytest.raises(OSError, match="no space"):
        bench.copied(EMPTY, source, Copy("/app", "/new/", **USUAL), Build())
    assert not os.listdir(bench.root / "blobs" / "ingest")
    gc.collect()  # the failure has its frames
    assert len(os.listdir("/proc/self/fd")) == before


def test_where_blocks_are_shared_the_kernel_copies(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "shares_blocks", lambda folder: True)
    source = bench.result(plain)
    layer = bench.copied(EMPTY, source, Copy("/app", "/new/", **USUAL), Build())
    with bench.blobs.lease() as lease:
        assert bench.tars.commit(layer.chain, lease) is None


def test_only_what_an_image_is_made_of_has_an_archive(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another stage's is nobody's."""
    begun: list[Assembly] = []
    monkeypatch.setattr(bench.tars, "begin", lambda *_: begun.append(cast(Any, None)))
    source, wanted = bench.result(plain), Copy("/app", "/new/", **USUAL)
    actions = (Action(wanted, 0, 1, output=0),)
    bench.done(actions, [EMPTY, source], lasting=False, build=Build())
    assert not begun
