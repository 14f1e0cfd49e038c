"""The records of the build cache: in memory, and written through.

A result is found by the identity of the vertex that made it; a vertex's identity by a key of its
definition. Rows may be lost in a power cut, and layers too: a row without its layer, or a layer
without its row, is dropped when the engine starts, and the step done again.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from boxship.build.cache import tables
from boxship.build.cache.record import Folder, Kind, Layer
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest
from boxship.store.database import Database, Transaction

Outputs = Mapping[int, ChainId | None]
MOST_KEYS: Final = 100_000


class Held:
    """What one build works with: it is not collected meanwhile."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self.chains: set[ChainId] = set()
        self.blobs: set[Digest] = set()
        self.folders: list[str] = []
        self._ends: list[Callable[[], object]] | None = []

    def chain(self, chain: ChainId | None) -> None:
        """Keep a layer, which need not exist yet."""
        if chain is not None:
            with self._records.turn:
                self.chains.add(chain)

    def blob(self, digest: Digest) -> None:
        """Keep a blob."""
        with self._records.turn:
            self.blobs.add(digest)

    def folder(self, folder: Folder) -> None:
        """Keep a folder."""
        with self._records.turn:
            self.folders.append(folder.id)

    def then(self, work: Callable[[], object]) -> None:
        """Have something done, which nobody waits for long, when the build has ended."""
        with self._records.turn:
            if self._ends is not None:
                self._ends.append(work)
                return
        work()

    def end(self) -> None:
        """The build has ended."""
        with self._records.turn:
            ends, self._ends = self._ends or [], None
        for work in ends:
            work()


class Records:
    """Layers, results, keys and folders; safe to use from any thread."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self.turn = threading.RLock()
        self._database = database
        self._clock = clock
        self._held: set[Held] = set()
        self._is_littered = False
        self._unwritten: set[ChainId] = set()  # layers of which only that they were used is new
        self._unwritten_folders: set[str] = set()
        database.migrate("build", tables.MIGRATIONS)
        self.layers: dict[ChainId, Layer] = {}
        self.folders: dict[str, Folder] = {}
        self._results: dict[str, dict[int, ChainId | None]] = {}
        self._identities: dict[str, str] = {}
        self._by_chain: dict[ChainId, set[str]] = {}
        self._moved: dict[ChainId, ChainId] = {}
        self._read()

    def _read(self) -> None:
        rows = self._database.rows
        for chain, parent, description, created, used, uses, size, diff_id in rows(tables.LAYERS):
            self.layers[ChainId(Digest(chain))] = Layer(
                ChainId(Digest(chain)),
                ChainId(Digest(parent)) if parent else None,
                description,
                created,
                used,
                uses,
                size,
                Digest(diff_id) if diff_id else None,
            )
        for identity, output, chain in rows(tables.RESULTS):
            self._note(identity, output, ChainId(Digest(chain)) if chain else None)
        self._identities = dict(rows(tables.KEYS))
        for id, kind, *rest in rows(tables.FOLDERS):
            self.folders[id] = Folder(id, Kind(kind), *rest)

    def _note(self, identity: str, output: int, chain: ChainId | None) -> None:
        self._results.setdefault(identity, {})[output] = chain
        if chain is not None:
            self._by_chain.setdefault(chain, set()).add(identity)

    def now(self) -> int:
        """Return the time, in nanoseconds."""
        return self._clock()

    # ---- holding

    @contextmanager
    def holding(self) -> Iterator[Held]:
        """What is held in the block is not collected before its end."""
        held = Held(self)
        with self.turn:
            self._held.add(held)
        try:
            yield held
        finally:
            held.end()
            with self.turn:
                self._held.discard(held)

    def chains(self) -> Collection[ChainId]:
        """Return the layers that must not be collected."""
        with self.turn:
            wanted = set(self.layers)
            for held in self._held:
                wanted |= {self.current(chain) for chain in held.chains}
            return wanted

    def blobs(self) -> Collection[Digest]:
        """Return the blobs that must not be collected."""
        with self.turn:
            wanted = {layer.diff_id for layer in self.layers.values() if layer.diff_id}
            return wanted.union(*(held.blobs for held in self._held))

    def litter(self) -> None:
        """Note that there are layers under names that nobody has a use for any more."""
        self._is_littered = True

    def take_litter(self) -> bool:
        """Whether there are, and no build is at work that may still stand on them."""
        with self.turn:
            is_littered = self._is_littered and not self._held
            self._is_littered = self._is_littered and not is_littered
            return is_littered

    def held_chains(self) -> Counter[ChainId]:
        """Return which layers builds work with now."""
        with self.turn:
            return Counter(self.current(c) for held in self._held for c in held.chains)

    def held_folders(self) -> Counter[str]:
        """Return which folders builds work with now."""
        with self.turn:
            return Counter(id for held in self._held for id in held.folders)

    # ---- results

    def identity(self, key: str) -> str | None:
        """Return the identity that a definition's key led to the last time."""
        return self._identities.get(key)

    def outputs(self, identity: str) -> Outputs | None:
        """Return the results of an identity."""
        with self.turn:
            found = self._results.get(identity)
            return None if found is None else {n: self._now(c) for n, c in found.items()}

    def put_key(self, key: str, identity: str) -> None:
        """Remember which identity a definition's key has led to."""
        with self.turn:
            if self._identities.get(key) == identity:
                return
            self._identities[key] = identity
        with self._database.write(durable=False) as tx:
            tx.run(tables.PUT_KEY, key, identity)

    def put(self, identity: str, outputs: Outputs, layers: Iterable[Layer]) -> None:
        """Record results, and the layers made for them."""
        made = list(layers)
        with self._database.write(durable=False) as tx, self.turn:
            for layer in made:
                self._put_layer(tx, layer)
            for output, chain in outputs.items():
                tx.run(tables.PUT_RESULT, identity, output, chain)
                self._note(identity, output, chain)

    def _put_layer(self, tx: Transaction, layer: Layer) -> None:
        tx.run(tables.PUT_LAYER, *_row(layer))
        self.layers[layer.chain] = layer

    def used(self, chains: Iterable[ChainId | None]) -> None:
        """Note that layers were used once more; `flush` writes that."""
        now = self._clock()
        with self.turn:
            for chain in chains:
                layer = None if chain is None else self.layers.get(self.current(chain))
                if layer is not None:
                    layer.used, layer.uses = now, layer.uses + 1
                    self._unwritten.add(layer.chain)

    def flush(self) -> None:
        """Write what was used; a daemon that is killed before forgets that, and nothing else."""
        with self.turn:
            chains, self._unwritten = self._unwritten, set()
            folders, self._unwritten_folders = self._unwritten_folders, set()
        if not chains and not folders:
            return
        with self._database.write(durable=False) as tx, self.turn:
            for chain in chains:
                if (layer := self.layers.get(self.current(chain))) is not None:
                    tx.run(tables.PUT_LAYER, *_row(layer))
            for id in folders:
                if (folder := self.folders.get(id)) is not None:
                    _put_folder(tx, folder)

    def renamed(self, old: ChainId, new: ChainId, parent: ChainId | None, diff_id: Digest) -> None:
        """A layer's digest is known now, and with it its name."""
        with self._database.write(durable=False) as tx, self.turn:
            old = self.current(old)
            layer = self.layers.pop(old, None)
            if layer is not None:
                if old != new:
                    tx.run(tables.DROP_LAYER, old)
                layer.chain, layer.parent, layer.diff_id = new, parent, diff_id
                self._put_layer(tx, layer)
            if old == new:
                return
            self._moved[old] = new
            tx.run(tables.MOVE_RESULTS, new, old)
            for identity in self._by_chain.pop(old, ()):
                for output, chain in self._results.get(identity, {}).items():
                    if chain == old:
                        self._note(identity, output, new)
            for child in self.layers.values():
                if child.parent == old:
                    child.parent = new
                    tx.run(tables.PUT_LAYER, *_row(child))

    def current(self, chain: ChainId) -> ChainId:
        """Return what a layer is called now."""
        while (new := self._moved.get(chain)) is not None:
            chain = new
        return chain

    def _now(self, chain: ChainId | None) -> ChainId | None:
        return None if chain is None else self.current(chain)

    def drop(self, chains: Collection[ChainId]) -> None:
        """Forget layers and the results that are made of them."""
        with self._database.write(durable=False) as tx, self.turn:
            for chain in chains:
                self.layers.pop(chain, None)
                tx.run(tables.DROP_LAYER, chain)
                for identity in self._by_chain.pop(chain, ()):
                    self._results.pop(identity, None)
                    tx.run(tables.DROP_RESULT, identity)

    def forget(self, identity: str) -> None:
        """Forget a result that turned out not to be there."""
        with self._database.write(durable=False) as tx, self.turn:
            self._results.pop(identity, None)
            tx.run(tables.DROP_RESULT, identity)

    def drop_all_keys(self) -> None:
        """Forget the keys that lead to no result."""
        with self._database.write(durable=False) as tx, self.turn:
            gone = {i for i in self._identities.values() if i not in self._results}
            self._identities = {k: i for k, i in self._identities.items() if i not in gone}
            for identity in gone:
                tx.run(tables.DROP_KEYS, identity)

    def reconcile(self, there: Collection[ChainId]) -> None:
        """Forget results whose layers are gone, as after a power cut."""
        with self.turn:
            missing = {chain for chain in self._by_chain if chain not in there}
            missing |= {chain for chain in self.layers if chain not in there}
        if missing:
            self.drop(missing)
        if len(self._identities) > MOST_KEYS:
            self.drop_all_keys()

    # ---- folders

    def put_folder(self, folder: Folder) -> None:
        """Record a folder, or what is new about it."""
        with self._database.write(durable=False) as tx, self.turn:
            self.folders[folder.id] = folder
            _put_folder(tx, folder)

    def used_folder(self, folder: Folder) -> None:
        """Note that a recorded folder was used once more; `flush` writes that."""
        with self.turn:
            self._unwritten_folders.add(folder.id)

    def drop_folders(self, ids: Iterable[str]) -> None:
        """Forget folders."""
        with self._database.write(durable=False) as tx, self.turn:
            for id in ids:
                self.folders.pop(id, None)
                tx.run(tables.DROP_FOLDER, id)


def _put_folder(tx: Transaction, folder: Folder) -> None:
    tx.run(
        tables.PUT_FOLDER,
        folder.id,
        folder.kind.value,
        folder.key,
        folder.description,
        folder.created,
        folder.used,
        folder.uses,
        folder.size,
        folder.note,
    )


def _row(layer: Layer) -> tuple[object, ...]:
    return (
        layer.chain,
        layer.parent,
        layer.description,
        layer.created,
        layer.used,
        layer.uses,
        layer.size,
        layer.diff_id,
    )
