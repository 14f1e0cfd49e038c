"""Layers of results get their digests: each is packed once, and then called by its chain ID."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from boxship.build import stopping
from boxship.build.cache.records import Records
from boxship.build.export.ahead import Ahead
from boxship.build.files.tars import Tars
from boxship.build.filesystems import Filesystems
from boxship.content.errors import NoSuchBlob
from boxship.content.store import Blobs, Lease
from boxship.image.images import Images
from boxship.snapshot.driver import ChainId
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest, chain
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor

OCI_KINDS: Final = {
    oci.DOCKER_LAYER: oci.OCI_LAYER,
    oci.DOCKER_LAYER_GZIP: oci.OCI_LAYER_GZIP,
}
MUCH: Final = 1 << 20  # is worth threads
DOCKER_KINDS: Final = {docker: kind for kind, docker in OCI_KINDS.items()}


@dataclass(frozen=True, slots=True)
class Packed:
    """A layer as an image has it; `created` in nanoseconds, 0 where nobody knows."""

    descriptor: Descriptor
    diff_id: Digest
    chain: ChainId
    created: int = 0
    description: str = ""


class LayerPacker:
    """Packs layers; safe to use from any thread, and blocks."""

    def __init__(
        self,
        records: Records,
        filesystems: Filesystems,
        snapshots: Snapshots,
        blobs: Blobs,
        images: Images,
        tars: Tars,
        ahead: Ahead,
    ) -> None:
        self._ahead = ahead
        self._tars = tars
        self._records = records
        self._filesystems = filesystems
        self._snapshots = snapshots
        self._blobs = blobs
        self._images = images
        self._turn = threading.Lock()
        self._turns: dict[ChainId, threading.Lock] = {}

    def current(self, one: ChainId) -> ChainId:
        """Return what a layer is called now."""
        return self._records.current(one)

    def pack(self, top: ChainId | None, lease: Lease) -> list[Packed]:
        """Return the layers of a stack, the bottom first, all of them in the content store."""
        found: list[Packed] = []
        for one in self._filesystems.lineage(top):
            stopping.check()
            with self._turn_of(one):
                found.append(self._packed(one, found[-1].chain if found else None, lease))
        return found

    def pack_anew(self, top: ChainId | None, lease: Lease, latest: int) -> list[Packed]:
        """Do the same with no time after `latest`, in nanoseconds; what images have stays."""
        found: list[Packed] = []
        for one in self._filesystems.lineage(top):
            stopping.check()
            known = None if one in self._records.layers else self._of_image(one, lease)
            parent = found[-1].chain if found else None
            if known is not None and known.chain == chain(parent, known.diff_id):
                found.append(known)
                continue
            pieces = self._snapshots.layer_diff(one, latest=latest)
            diff_id = self._blobs.ingest(pieces, lease)
            name = ChainId(chain(parent, diff_id))
            if not self._snapshots.has_layer(name):
                self._snapshots.apply(parent, self._blobs.chunks(diff_id), diff_id)
            found.append(self._described(diff_id, name, one))
        return found

    def _packed(self, one: ChainId, parent: ChainId | None, lease: Lease) -> Packed:
        one = self._records.current(one)
        known = self._of_record(one, lease) or self._of_image(one, lease)
        if known is not None and known.chain == chain(parent, known.diff_id):
            return known
        made, diff_id = one, self._tars.commit(one, lease) or self._ahead.commit(one, lease)
        if diff_id is None:
            diff_id = self._archive(one, lease)
        name = ChainId(chain(parent, diff_id))
        if not self._snapshots.rename(one, name, parent):
            self._records.litter()  # the layer was there; running steps may stand on this one
        self._records.renamed(one, name, parent, diff_id)
        self._tars.named(made, name, diff_id)
        return self._described(diff_id, name, name)

    def _archive(self, one: ChainId, lease: Lease) -> Digest:
        layer = self._records.layers.get(one)
        if layer is not None and layer.size < MUCH:
            return self._blobs.ingest(self._snapshots.layer_diff(one), lease)
        return self._blobs.assemble(self._snapshots.layer_parts(one), lease)

    def _of_record(self, one: ChainId, lease: Lease) -> Packed | None:
        layer = self._records.layers.get(one)
        if layer is None or layer.diff_id is None:
            return None
        lease.hold(layer.diff_id)
        try:
            return self._described(layer.diff_id, one, one)
        except NoSuchBlob:
            return None

    def _of_image(self, one: ChainId, lease: Lease) -> Packed | None:
        known = self._images.layer(one)
        if known is None:
            return None
        descriptor, diff_id = known
        lease.hold(descriptor.digest)
        kind = OCI_KINDS.get(descriptor.media_type, descriptor.media_type)
        plain = Descriptor(media_type=kind, digest=descriptor.digest, size=descriptor.size)
        return Packed(plain, diff_id, one)

    def _described(self, diff_id: Digest, name: ChainId, one: ChainId) -> Packed:
        record = self._records.layers.get(self._records.current(one))
        size = self._blobs.size(diff_id)
        descriptor = Descriptor(media_type=oci.OCI_LAYER, digest=diff_id, size=size)
        created, said = (record.created, record.description) if record else (0, "")
        return Packed(descriptor, diff_id, name, created, said)

    @contextmanager
    def _turn_of(self, one: ChainId) -> Iterator[None]:
        """One packs a layer, and who wants the same one waits."""
        with self._turn:
            turn = self._turns.setdefault(one, threading.Lock())
        with turn:
            yield
        with self._turn:
            if not turn.locked():
                self._turns.pop(one, None)
