"""Layers that are packed while later steps go on: as they would be then, and for nobody else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from boxship.build.cache.record import Layer
from boxship.build.cache.records import Records
from boxship.build.export.ahead import Ahead
from boxship.build.export.exporter import has_layers
from boxship.build.files.last import LastCopies
from boxship.build.files.tars import Tars
from boxship.build.filesystems import Filesystems
from boxship.build.request import BuildRequest, Dockerfile, Export, Kind
from boxship.content.store import Blobs
from boxship.snapshot.driver import ChainId
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest
from boxship.store.database import Database

pytestmark = pytest.mark.root
LARGE = 6 << 20


@dataclass
class Bench:
    root: Path
    snapshots: Snapshots
    blobs: Blobs
    records: Records
    filesystems: Filesystems
    tars: Tars
    ahead: Ahead

    def layer(self, size: int, parent: ChainId | None = None) -> ChainId:
        """Make a layer as a step does."""
        with self.records.holding() as held:
            writable = self.filesystems.change(parent, bare=True)
            root = Path(f"/proc/self/fd/{writable.mount}")
            (root / "large").write_bytes(os.urandom(size))
            (root / "small").write_bytes(b"small")
            layer: Layer = self.filesystems.keep(writable, "a step", held)
            self.records.put(os.urandom(8).hex(), {0: layer.chain}, [layer])
        return layer.chain

    def arriving(self) -> list[str]:
        return os.listdir(self.root / "blobs" / "ingest")

    def packers(self) -> list[threading.Thread]:
        """Threads that hash, write, or remove; those of the pool wait for more."""
        return [one for one in threading.enumerate() if one.name in ("helper", "pack")]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    snapshots = Snapshots.at(str(tmp_path / "snapshots"))
    blobs = Blobs(str(tmp_path / "blobs"))
    records = Records(Database(str(tmp_path / "db")), lambda: 1)
    tars = Tars(blobs, LastCopies(str(tmp_path / "copies"), snapshots, "this boot"))
    filesystems = Filesystems(snapshots, lambda: 1)
    ahead = Ahead(records, snapshots, blobs, tars, 1)
    return Bench(tmp_path, snapshots, blobs, records, filesystems, tars, ahead)


@pytest.fixture
def endless(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Packing never comes to an end; the event says that it has begun."""
    begun = threading.Event()

    def parts(chain: ChainId) -> Iterator[bytes]:
        begun.set()
        while True:
            yield bytes(1000)

    monkeypatch.setattr(bench.snapshots, "layer_parts", parts)
    return begun


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)


def test_it_is_the_same_archive(bench: Bench) -> None:
    below = bench.layer(10)
    chain = bench.layer(LARGE, below)
    whole = b"".join(bench.snapshots.layer_diff(chain))
    with bench.records.holding() as held, bench.blobs.lease() as lease:
        bench.ahead.begin(chain, held)
        assert bench.ahead.commit(chain, lease) == Digest.of(whole)
        assert bench.ahead.commit(chain, lease) is None
        assert b"".join(bench.blobs.chunks(Digest.of(whole))) == whole
    assert not bench.arriving()


def test_what_nobody_wants_goes_with_its_builds(bench: Bench) -> None:
    """With the last of those that stand on the layer."""
    chain = bench.layer(LARGE)
    with bench.records.holding() as one:
        bench.ahead.begin(chain, one)
        with bench.records.holding() as two:
            bench.ahead.begin(chain, two)
            wait_until(bench.arriving)
        assert len(bench.arriving()) == 1
    wait_until(lambda: not bench.arriving() and not bench.packers())


def test_a_build_that_ends_ends_its_packing(bench: Bench, endless: threading.Event) -> None:
    chain = bench.layer(LARGE)
    with bench.records.holding() as held:
        bench.ahead.begin(chain, held)
        assert endless.wait(60)
        assert bench.arriving()
    wait_until(lambda: not bench.arriving() and not bench.packers())


def test_who_wants_a_layer_does_not_wait_for_another_one(
    bench: Bench, endless: threading.Event
) -> None:
    """So many are packed at a time: what is not begun is left to who wants it."""
    chains = [bench.layer(LARGE), bench.layer(LARGE)]
    with bench.records.holding() as held, bench.blobs.lease() as lease:
        for chain in chains:
            bench.ahead.begin(chain, held)
        assert endless.wait(60)
        assert bench.ahead.commit(chains[1], lease) is None
    wait_until(lambda: not bench.arriving())


def test_what_is_small_or_known_is_not_packed_ahead(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, large, poured = bench.layer(100), bench.layer(LARGE), bench.layer(LARGE)
    bench.records.layers[large].diff_id = Digest.of(b"known")
    monkeypatch.setattr(bench.tars, "has", lambda chain: chain == poured)
    unknown = ChainId(Digest.of(b"of an image"))
    with bench.records.holding() as held, bench.blobs.lease() as lease:
        for chain in (small, large, poured, unknown):
            bench.ahead.begin(chain, held)
            assert bench.ahead.commit(chain, lease) is None


def test_what_fails_ahead_is_left_to_who_wants_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = bench.layer(LARGE)

    def parts(chain: ChainId) -> Iterator[bytes]:
        yield bytes(2 << 20)
        raise OSError(28, "no space")

    monkeypatch.setattr(bench.snapshots, "layer_parts", parts)
    with bench.records.holding() as held, bench.blobs.lease() as lease:
        bench.ahead.begin(chain, held)
        assert bench.ahead.commit(chain, lease) is None
    assert not bench.arriving()


def request(*exports: Export, **more: Any) -> BuildRequest:
    return BuildRequest(frontend=Dockerfile(b""), exports=exports, **more)


def test_layers_are_wanted_where_an_image_is_given_out() -> None:
    """As a folder's files, squashed, or with other times, they are not what steps have made."""
    assert has_layers(request(Export(Kind.IMAGE)))
    assert has_layers(request(Export(Kind.LOCAL), Export(Kind.OCI)))
    assert not has_layers(request())
    assert not has_layers(request(Export(Kind.LOCAL)))
    assert not has_layers(request(Export(Kind.IMAGE), squash=True))
    assert not has_layers(request(Export(Kind.IMAGE), source_date_epoch=1))
    assert not has_layers(request(Export(Kind.IMAGE, {"source-date-epoch": "1"})))
