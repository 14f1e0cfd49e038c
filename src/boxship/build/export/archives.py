"""Results as archives of images, as folders and as archives of files, given to the client."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from boxship.build.export import attestations, statementfiles
from boxship.build.export.images import Assembled, ImageExport, Order, Part
from boxship.build.filesystems import Filesystems
from boxship.build.request import YES, Kind
from boxship.build.statements import Statement
from boxship.content.store import Blobs
from boxship.image import record, saving
from boxship.image.images import Images
from boxship.snapshot import pack, trees
from boxship.snapshot.driver import ChainId
from boxship.spec.oci.image import Descriptor
from boxship.spec.platform import Platform


@dataclass(frozen=True, slots=True)
class Archives:
    """Packs results; its streams block."""

    images: Images
    blobs: Blobs
    filesystems: Filesystems
    image_export: ImageExport
    host: Platform

    @contextmanager
    def of_image(self, order: Order) -> Iterator[tuple[Assembled, Iterator[bytes]]]:
        """An archive that `docker load` and OCI tools read; the image itself is not kept."""
        with self.images.working_on() as lease:
            made = self.image_export.assemble(order, lease)
            image = record.read(self.blobs, made.top, self.host)
            content = {digest for digest in saving.content(image, ()) if self.blobs.has(digest)}
            named = [(image, tuple(order.names))]
            pieces = saving.archive(self.blobs, named, content)
            if order.export.kind is Kind.OCI:
                pieces = _without(pieces, b"manifest.json")
            yield made, pieces

    @contextmanager
    def content_of(self, order: Order) -> Iterator[tuple[Assembled, Sequence[Descriptor]]]:
        """All that an image is made of, what points to it last; the image itself is not kept."""
        with self.images.working_on() as lease:
            made = self.image_export.assemble(order, lease)
            image = record.read(self.blobs, made.top, self.host)
            digests = [digest for digest in saving.content(image, ()) if self.blobs.has(digest)]
            content = [
                Descriptor(media_type="", digest=digest, size=self.blobs.size(digest))
                for digest in digests
                if digest != made.top.digest
            ]
            yield made, [*content, made.top]

    @contextmanager
    def of_files(self, order: Order) -> Iterator[tuple[str, int]]:
        """A folder with the results' files, and what is attested of each; its path, and open."""
        parts = order.parts
        split = order.export.attrs.get("platform-split", "true" if len(parts) > 1 else "false")
        with ExitStack() as opened:
            if len(parts) > 1 or split == "true":
                root = opened.enter_context(self._changed(None))
                for part in parts:
                    self._add(part, order, root)
            else:
                root = opened.enter_context(self._alone(parts[0], order))
            yield f"/proc/self/fd/{root}", root

    @contextmanager
    def _changed(self, parent: ChainId | None) -> Iterator[int]:
        """A folder for the length of the block, with what is in some layers already."""
        writable = self.filesystems.change(parent, bare=True)
        try:
            root = os.open(".", trees.FOLDER, dir_fd=writable.mount)
            try:
                yield root
            finally:
                os.close(root)
        finally:
            self.filesystems.drop(writable)

    @contextmanager
    def _alone(self, part: Part, order: Order) -> Iterator[int]:
        said = self._said(part, order)
        if not said:
            with self.filesystems.looking(part.value) as root:
                yield root
            return
        chain = self.filesystems.layered(part.value, "files", order.held, [])
        with self._changed(chain) as root:
            statementfiles.write(said, root, order.export)
            yield root

    def _add(self, part: Part, order: Order, root: int) -> None:
        """Put one of several results, by its platform's name, beside the others."""
        name = str(part.target.platform or self.host).replace("/", "_")
        os.mkdir(name, 0o755, dir_fd=root)
        with ExitStack() as opened:
            source = opened.enter_context(self.filesystems.looking(part.value))
            target = os.open(name, trees.FOLDER, dir_fd=root)
            opened.callback(os.close, target)
            trees.copy(source, target)
            statementfiles.write(self._said(part, order), target, order.export)

    def _said(self, part: Part, order: Order) -> list[Statement]:
        """Return what is attested of a result's files; what is only for images is not."""
        request = order.request
        if (request.provenance or {}).get("inline-only", "") in YES:
            request = replace(request, provenance=None)
        if not attestations.any_of(request, part):
            return []
        return attestations.statements_of(request, order.course, part, self.host, self.filesystems)


def files(root: int, latest: int | None = None) -> Iterator[bytes]:
    """Yield the archive of a folder's files, none of a time after `latest` nanoseconds."""
    yield from pack.root(root, latest=latest)


def _without(pieces: Iterator[bytes], name: bytes) -> Iterator[bytes]:
    """Leave out one small file of an archive, which comes as a piece of its own."""
    for piece in pieces:
        if not piece.startswith(name + b"\0"):
            yield piece
