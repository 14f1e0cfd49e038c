"""Which storage a configuration asks for."""

from __future__ import annotations

import os
import tempfile

from boxship.registry import config
from boxship.registry.storage.driver import Storage
from boxship.registry.storage.filesystem import Filesystem
from boxship.registry.storage.memory import Memory


def storage(section: config.Storage, folder: str) -> Storage:
    """Open it; `folder` is what `folder_of` has given."""
    if section.s3 is not None:
        from boxship.registry.storage.s3 import ObjectStore

        return ObjectStore(section.s3, folder)
    if section.inmemory is not None:
        return Memory(folder)
    return Filesystem(folder)


def folder_of(section: config.Storage) -> str:
    """Return the local folder of a storage: its own, or one for unfinished blobs.

    One that keeps all in memory has a new one at each call.
    """
    if section.s3 is not None:
        return os.path.abspath(section.s3.spool)
    if section.inmemory is not None:
        return tempfile.mkdtemp(prefix="boxship-registry-")
    return os.path.abspath((section.filesystem or config.FilesystemSection()).rootdirectory)
