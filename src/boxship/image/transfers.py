"""Images that another engine sends: blobs come one by one, and become an image with the last.

What has arrived belongs to no image until then; a transfer keeps it, for as long as something goes
on. One of which nothing is heard for some minutes is given up, and what it brought is collected.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Final

from boxship.content.store import Blobs
from boxship.errors import Conflict, InvalidRequest
from boxship.image import record
from boxship.image.images import Image, Images
from boxship.image.loading import Layers
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor
from boxship.spec.reference import Reference

MOST: Final = 16  # at a time
IDLE: Final = 300.0  # seconds


class Transfer:
    """One image on its way here."""

    def __init__(self, images: Images, blobs: Blobs, snapshots: Snapshots) -> None:
        self._images = images
        self._blobs = blobs
        self._undo = ExitStack()
        self._lease = self._undo.enter_context(images.working_on())
        self._layers = Layers(blobs, snapshots)
        self._undo.callback(self._layers.close)
        self.turn = threading.RLock()
        self.busy = 0
        self.ended = False
        self.used = 0.0

    def size(self, digest: Digest) -> int | None:
        """Return the size of content that is here and now stays, None where it is not."""
        self._lease.hold(digest)
        return self._blobs.size(digest) if self._blobs.has(digest) else None

    def take(self, pieces: Iterable[bytes], digest: Digest) -> None:
        """Take in a blob, which must be what it is called."""
        self._blobs.ingest(pieces, self._lease, expected=digest)

    def guess(self, digest: Digest) -> None:
        """Begin to unpack a blob that is a layer, while others are still on their way."""
        with self.turn:
            self._layers.guess(digest)

    def take_manifest(self, data: bytes, media_type: str) -> Descriptor:
        """Take in a manifest or an index."""
        kind = oci.read_kind(data, media_type)
        return Descriptor(
            media_type=kind, digest=self._blobs.put(data, self._lease), size=len(data)
        )

    def finish(self, target: Descriptor, name: Reference | None) -> Image:
        """Make an image of what has come; the name, if there is one, then points to it."""
        with self.turn, self._images.working_on():  # should it fail, layers are collected too
            image = record.read(self._blobs, target, self._images.host)
            for about in image.variant.content:
                if self.size(about.digest) != about.size:
                    raise InvalidRequest(f"{about.digest} is missing, or is not of its size")
            for digest in image.content:
                self._lease.hold(digest)
            self._layers.commit(image.variant, lambda layer: None)
            return self._images.add(image, [] if name is None else [str(name)])

    def close(self) -> None:
        """Let go of what has come and is no image's."""
        self._undo.close()


class Transfers:
    """Images on their way here, by the name that their sender gave each; safe in any thread."""

    def __init__(
        self,
        images: Images,
        blobs: Blobs,
        snapshots: Snapshots,
        *,
        idle: float = IDLE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.images = images
        self.blobs = blobs
        self._snapshots = snapshots
        self._idle = idle
        self._clock = clock
        self._turn = threading.Lock()
        self._open: dict[str, Transfer] = {}
        self._timer: threading.Timer | None = None

    def use(self, name: str) -> Using:
        """Return a transfer to work on, begun now if it was not yet."""
        with self._turn:
            found = self._open.get(name)
            if found is None:
                if len(self._open) >= MOST:
                    raise Conflict(f"{MOST} images are being received already")
                found = Transfer(self.images, self.blobs, self._snapshots)
                self._open[name] = found
                self._watch()
            found.busy += 1
            return Using(self, found)

    def left(self, transfer: Transfer) -> None:
        """Note that a piece of work on a transfer has ended."""
        with self._turn:
            transfer.busy -= 1
            transfer.used = self._clock()
            last = transfer.ended and not transfer.busy
        if last:
            transfer.close()

    def end(self, name: str) -> None:
        """Forget a transfer, finished or given up."""
        with self._turn:
            found = self._open.pop(name, None)
            if found is not None:
                found.ended = True
        if found is not None and not found.busy:  # else whoever works on it last closes it
            found.close()

    def close(self) -> None:
        """Give all of them up."""
        for name in list(self._open):
            self.end(name)
        with self._turn:
            if self._timer is not None:
                self._timer.cancel()

    def sweep(self) -> None:
        """Give up those of which nothing was heard for long."""
        now = self._clock()
        with self._turn:
            silent = [n for n, t in self._open.items() if not t.busy and now - t.used > self._idle]
        for name in silent:
            self.end(name)
        with self._turn:
            self._timer = None
            if self._open:
                self._watch()

    def _watch(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._idle / 2, self.sweep)
            self._timer.daemon = True
            self._timer.start()


class Using:
    """A piece of work on a transfer, which is not given up meanwhile."""

    def __init__(self, transfers: Transfers, transfer: Transfer) -> None:
        self._transfers = transfers
        self._transfer = transfer

    def __enter__(self) -> Transfer:
        return self._transfer

    def __exit__(self, *_: object) -> None:
        self._transfers.left(self._transfer)
