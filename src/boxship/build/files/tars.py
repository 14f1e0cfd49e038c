"""Archives of layers that were put together while their files were made."""

from __future__ import annotations

import threading

from boxship.content.assembly import Assembly
from boxship.content.store import Blobs, Lease
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest


class Tars:
    """Keeps each until it is wanted, or its build ends; safe to use from any thread."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._turn = threading.Lock()
        self._kept: dict[ChainId, Assembly] = {}

    def begin(self) -> Assembly:
        """Begin one; it is `kept` or dropped."""
        return self._blobs.assembling()

    def keep(self, chain: ChainId, assembly: Assembly) -> None:
        """Keep the archive of the layer `chain`; `drop` ends that."""
        with self._turn:
            self._kept[chain] = assembly

    def drop(self, chain: ChainId) -> None:
        """Throw an archive away that nobody wanted."""
        with self._turn:
            assembly = self._kept.pop(chain, None)
        if assembly is not None:
            assembly.drop()

    def commit(self, chain: ChainId, lease: Lease) -> Digest | None:
        """Put the archive of a layer into the content store; None where there is none."""
        with self._turn:
            assembly = self._kept.pop(chain, None)
        if assembly is None:
            return None
        with assembly:
            return self._blobs.commit_assembled(assembly, lease)
