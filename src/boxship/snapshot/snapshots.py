"""Filesystems by chain ID and by key: layers go in as tar streams, mounts come out.

A mount is a descriptor of a filesystem that is attached nowhere; whoever gets it attaches it in
a namespace of its own, or reads through it, and closes it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from boxship.kernel import mounts
from boxship.lib import compression
from boxship.lib.filepart import FilePart
from boxship.lib.gate import Gate
from boxship.snapshot import pack, trees
from boxship.snapshot.driver import ChainId, Change, Driver, Kind, Stage
from boxship.snapshot.drivers import layerfile
from boxship.snapshot.drivers.overlay2 import Overlay2
from boxship.snapshot.drivers.vfs import Vfs
from boxship.snapshot.errors import DriverUnavailable, TooManyChanges, WrongLayer
from boxship.snapshot.trees import Usage
from boxship.spec.digest import Digest, chain

LISTED: Final = 64 << 20  # bytes of paths that one answer may have
WORKS: Final = "overlay-works"  # a file that names the boot in which an overlay could be made
LOG: Final = logging.getLogger(__name__)
DRIVERS: Final[Mapping[str, Callable[[str], Driver]]] = {"overlay2": Overlay2, "vfs": Vfs}


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as the store has it."""

    chain: ChainId
    diff_id: Digest


class Hashed:
    """Passes pieces on, and knows their digest afterwards."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._hash = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._hash.update(piece)
            yield piece

    @property
    def digest(self) -> Digest:
        """The digest of what has passed."""
        return Digest("sha256:" + self._hash.hexdigest())


class Unpacked:
    """A layer that is unpacked and not yet committed; `discard` it or `Snapshots.commit` it."""

    def __init__(self, stage: Stage, diff_id: Digest | None) -> None:
        self.stage = stage
        self.diff_id = diff_id


class Snapshots:
    """The filesystems of one driver; safe to use from any thread."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._gate = Gate()  # no layer goes while a snapshot is being put on one
        self._settling: threading.Thread | None = None
        self._settling_turn = threading.Lock()

    @classmethod
    def at(cls, root: str, driver: str = "") -> Snapshots:
        """Open the filesystems below `root` with the named driver, or with the best that works.

        A driver that was asked for and does not work here is an error; `overlay2` that was not
        asked for gives way to `vfs`.
        """
        os.makedirs(root, 0o700, exist_ok=True)
        if driver and driver not in DRIVERS:
            raise DriverUnavailable(f"storage driver {driver!r} is not known")
        if driver == "vfs":
            return cls(Vfs(os.path.join(root, "vfs")))
        why = "" if _known_to_work(root) else overlay_trouble(root)
        if not why:
            _note_that_it_works(root)
        if why and driver:
            raise DriverUnavailable(f"storage driver overlay2 does not work on {root}: {why}")
        if why:
            return cls(Vfs(os.path.join(root, "vfs")))
        return cls(Overlay2(os.path.join(root, "overlay2")))

    @property
    def driver(self) -> str:
        """The driver's name."""
        return self._driver.name

    @property
    def independent(self) -> bool:
        """Whether layers may be unpacked before those below them are there."""
        return self._driver.independent

    # layers

    def has_layer(self, chain: ChainId) -> bool:
        """Whether a layer is there, unpacked."""
        return self._driver.has_layer(chain)

    def layers(self) -> Mapping[ChainId, Usage]:
        """Return the layers that are there, and what each takes by itself."""
        return self._driver.layers()

    def unpack(
        self,
        pieces: Iterable[bytes],
        parent: ChainId | None = None,
        diff_id: Digest | None = None,
        *,
        hashed: bool = True,
    ) -> Unpacked:
        """Unpack a layer, packed in whatever way, where nobody sees it yet.

        With `diff_id` the content is known to be that already, and is not hashed again. What is
        not `hashed` has the diff ID that is given to `commit`.
        """
        stage = self._driver.stage(parent)
        try:
            kind, content = compression.unpacked(pieces)
            if hashed and (diff_id is None or kind is not compression.Compression.NONE):
                known = Hashed(content)
                stage.extraction.extract(known)
                diff_id = known.digest
            else:
                stage.extraction.extract(content)
            return Unpacked(stage, diff_id)
        except BaseException:
            self._driver.discard(stage)
            raise

    def commit(
        self, unpacked: Unpacked, parent: ChainId | None, expected: Digest | None = None
    ) -> Layer:
        """Put an unpacked layer on top of `parent`; `expected` is the diff ID it must have."""
        try:
            diff_id = unpacked.diff_id or expected
            if diff_id is None or (expected is not None and diff_id != expected):
                raise WrongLayer(f"layer has the diff ID {diff_id}, not {expected}")
            name = ChainId(chain(parent, diff_id))
            self._driver.commit(unpacked.stage, name, parent)
        except BaseException:
            self.discard(unpacked)
            raise
        return Layer(name, diff_id)

    def discard(self, unpacked: Unpacked) -> None:
        """Remove an unpacked layer."""
        self._driver.discard(unpacked.stage)

    def apply(
        self, parent: ChainId | None, pieces: Iterable[bytes], expected: Digest | None = None
    ) -> Layer:
        """Unpack a layer on top of `parent`."""
        return self.commit(self.unpack(pieces, parent), parent, expected)

    def apply_all(
        self, layers: Sequence[tuple[Digest, Callable[[], Iterable[bytes]]]]
    ) -> list[Layer]:
        """Unpack an image's layers, bottom first; several at a time where the driver can.

        Each is its diff ID and what opens its stream. What is there already is not opened.
        """
        chains: list[ChainId] = []
        for diff_id, _ in layers:
            chains.append(ChainId(chain(chains[-1] if chains else None, diff_id)))
        if not self._driver.independent:
            for at, (diff_id, opened) in enumerate(layers):
                if not self.has_layer(chains[at]):
                    self.apply(chains[at - 1] if at else None, opened(), diff_id)
            return [Layer(c, d) for c, (d, _) in zip(chains, layers, strict=True)]
        missing = [at for at, name in enumerate(chains) if not self.has_layer(name)]
        with ThreadPoolExecutor(2, "unpack") as workers:
            running = {at: workers.submit(self.unpack, _once(layers[at][1])) for at in missing}
            try:
                for at in missing:
                    self.commit(running[at].result(), chains[at - 1] if at else None, layers[at][0])
                    del running[at]
            except BaseException:
                for future in running.values():
                    future.cancel()
                for future in running.values():
                    with suppress(BaseException):
                        if not future.cancelled():
                            self.discard(future.result())
                raise
        return [Layer(c, d) for c, (d, _) in zip(chains, layers, strict=True)]

    def rename(self, old: ChainId, new: ChainId, parent: ChainId | None) -> bool:
        """Call a layer by its chain ID, now that it is known; False where that one is there.

        The old name is understood until this process ends.
        """
        return self._driver.rename_layer(old, new, parent)

    def graft(self, layer: ChainId, chain: ChainId, parent: ChainId | None) -> None:
        """Make a layer on `parent` that changes what `layer` changes."""
        with self._gate.together():
            self._driver.graft(layer, chain, parent)

    def parent(self, chain: ChainId) -> ChainId | None:
        """Return what a layer stands on."""
        return self._driver.parent(chain)

    def layer_diff(self, chain: ChainId, *, latest: int | None = None) -> Iterator[bytes]:
        """Yield a layer as an uncompressed tar; no time in it is after `latest` nanoseconds."""
        return pack.layer(self._driver.layer_differences(chain), latest=latest)

    def layer_parts(self, chain: ChainId) -> Iterator[bytes | FilePart]:
        """Yield the same with what is large as files, each open until the next part."""
        return pack.parts(self._driver.layer_differences(chain))

    def remove_layer(self, chain: ChainId) -> None:
        """Remove a layer; whoever calls knows that nothing is based on it."""
        with self._gate.alone():
            left = self._driver.detach_layer(chain)
        for path in left:
            trees.remove_path(path)

    def collect(self, wanted: Iterable[ChainId]) -> int:
        """Remove all layers but those wanted, and what they and the snapshots stand on."""
        left: list[str] = []
        freed = 0
        with self._gate.alone():
            for name in self.unneeded(wanted):
                freed += self._driver.layers()[name].size
                left += self._driver.detach_layer(name)
        for path in left:
            trees.remove_path(path)
        return freed

    def unneeded(self, wanted: Iterable[ChainId]) -> list[ChainId]:
        """Return the layers that neither those wanted nor the snapshots stand on."""
        keep: set[ChainId] = set()
        for name in (*wanted, *self._driver.bases()):
            at: ChainId | None = name
            while at is not None and at not in keep and self.has_layer(at):
                keep.add(at)
                at = self._driver.parent(at)
        return [name for name in self._driver.layers() if name not in keep]

    def settle(self) -> None:
        """Bring all layers to the disk."""
        self._driver.settle()

    def settle_soon(self) -> None:
        """Bring all layers to the disk in a thread; nobody has to wait for it."""
        with self._settling_turn:
            if self._settling is None or not self._settling.is_alive():
                self._settling = threading.Thread(
                    target=self._settle_quietly, name="settle", daemon=True
                )
                self._settling.start()

    def _settle_quietly(self) -> None:
        try:
            self.settle()
        except OSError as error:  # after another boot the layers will be made again
            LOG.warning("layers could not be brought to the disk: %s", error)

    def missing(self) -> Iterator[ChainId]:
        """Yield the layers that snapshots stand on and that are not there."""
        yield from {base for base in self._driver.bases() if not self.has_layer(base)}

    # snapshots

    def prepare(self, key: str, parent: ChainId | None, *, bare: bool = False) -> None:
        """Make a writable snapshot of `parent`; without one it begins empty.

        A `bare` one has not what every container finds in its root beside its image's files.
        """
        with self._gate.together():
            self._driver.prepare(key, parent, bare=bare)

    def seal(self, key: str, chain: ChainId, usage: Usage | None = None) -> Usage:
        """Make a snapshot a layer; nobody writes to it any more.

        `chain` may be a name of the caller's own until the layer's digest is known: `rename`.
        Who knows what the snapshot takes spares the measuring.
        """
        return self._driver.seal(key, chain, usage)

    def keys(self) -> list[str]:
        """Return the keys of the snapshots."""
        return list(self._driver.keys())

    def exists(self, key: str) -> bool:
        """Whether there is a snapshot called `key`."""
        return self._driver.exists(key)

    def remove(self, key: str) -> None:
        """Remove a snapshot, if it exists."""
        self._driver.remove(key)

    def open(self, key: str, *, volatile: bool = False) -> int:
        """Return a new detached mount of a snapshot.

        What is written to a volatile one is brought to the disk by nobody until `settle`, and it
        can be opened only once.
        """
        return self._driver.open(key, volatile=volatile)

    def own_files(self, key: str) -> str | None:
        """Return the folder of what a snapshot has itself; None where the driver has none such.

        While the snapshot is open new files may be made there only in folders that are new.
        """
        return self._driver.own_files(key)

    def layer_files(self, chain: ChainId) -> str | None:
        """Return the folder of what a layer has itself; None where there is none such.

        Nobody writes there. Other names may be given to its files.
        """
        return self._driver.layer_files(chain) if self.has_layer(chain) else None

    def view(self, chain: ChainId | None) -> int:
        """Return a new detached read-only mount of a layer and those below it."""
        return self._driver.view(chain)

    def mount_info(self, key: str) -> dict[str, str]:
        """Return what the Engine API shows as GraphDriver.Data."""
        return self._driver.info(key)

    def usage(self, key: str) -> Usage:
        """Return what a snapshot takes by itself."""
        return self._driver.usage(key)

    def changes(self, key: str) -> list[Change]:
        """Return what a snapshot changed, sorted by path; a folder of changes counts as changed.

        Raises TooManyChanges.
        """
        found: dict[bytes, Kind] = {}
        size = 0
        for difference in self._driver.differences(key):
            if difference.kind is None:
                continue
            if (size := size + len(difference.path)) > LISTED:
                raise TooManyChanges
            found[difference.path] = difference.kind
            up = difference.path.rpartition(b"/")[0]
            while up and up not in found:
                found[up] = Kind.MODIFIED
                up = up.rpartition(b"/")[0]
        return [
            Change("/" + path.decode("utf-8", "replace"), found[path]) for path in sorted(found)
        ]

    def diff(self, key: str) -> Iterator[bytes]:
        """Yield the layer that makes what a snapshot changed, as an uncompressed tar."""
        return pack.layer(self._driver.differences(key))


def export(root: int) -> Iterator[bytes]:
    """Yield a tar of all that is beneath the folder or mount `root`."""
    folder = os.open(".", trees.FOLDER, dir_fd=root)
    try:
        yield from pack.root(folder)
    finally:
        os.close(folder)


def overlay_trouble(root: str) -> str:
    """Try an overlay on the filesystem of `root`; return what is wrong, or nothing."""
    place = os.path.join(root, f".try-{os.getpid()}")
    try:
        for name in ("lower", "upper", "work"):
            os.makedirs(os.path.join(place, name))
        os.setxattr(os.path.join(place, "lower"), "trusted.overlay.opaque", b"y")
        lower, upper, work = (os.path.join(place, name) for name in ("lower", "upper", "work"))
        os.close(mounts.overlay([lower], upper, work))
    except OSError as error:
        return str(error)
    else:
        return ""
    finally:
        trees.remove_path(place)


def _known_to_work(root: str) -> bool:
    """Whether an overlay was made here since the machine began: making one can take a second."""
    try:
        with open(os.path.join(root, WORKS)) as file:
            return file.read() == layerfile.this_boot()
    except (OSError, ValueError):
        return False


def _note_that_it_works(root: str) -> None:
    with suppress(OSError), open(os.path.join(root, WORKS), "w") as file:
        file.write(layerfile.this_boot())


def _once(opened: Callable[[], Iterable[bytes]]) -> Iterator[bytes]:
    """Open a stream only when it is read."""
    yield from opened()
