"""Files that appear whole: written beside, flushed when asked, renamed."""

from __future__ import annotations

import os
import threading


def write(path: str, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Put `data` at `path`; a reader sees the old content or all of the new.

    A durable write has reached the disk when this returns, its name too. A write that is not
    survives the death of any process, but not a power cut. Of several at once one stays.
    """
    beside = f"{path}.{os.getpid()}.{threading.get_native_id()}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            if durable:
                os.fsync(descriptor)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    if durable:
        sync_folder(os.path.dirname(path) or ".")


def sync_folder(path: str) -> None:
    """Flush a folder's own entries."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
