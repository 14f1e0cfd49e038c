"""A filesystem that stops answering: FUSE whose server reads and is silent.

What the kernel has asked such a server can be taken back by nothing but the connection's end, not
even by SIGKILL: as with a dead NFS server, who looks at the mount stands still until then.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
NOSUID, NODEV, DETACH = 2, 4, 2
IN = struct.Struct("<IIQQIIIHH")  # length, what is asked, its number, node, uid, gid, pid, two more
OUT = struct.Struct("<IiQ")  # length, error, number
INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
FORGET, GETATTR, STATFS, INIT = 2, 3, 17, 26
OPENDIR, READDIR, RELEASEDIR, INTERRUPT = 27, 28, 29, 36


class Frozen:
    """A mounted folder, empty; it answers until it is frozen, and for ever after that not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._frozen = False
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other"
        if _libc.mount(b"frozen", bytes(folder), b"fuse", NOSUID | NODEV, options.encode()):
            error = ctypes.get_errno()
            os.close(self._device)
            raise OSError(error, os.strerror(error))
        self._ending = os.eventfd(0, os.EFD_CLOEXEC)
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()

    def freeze(self) -> None:
        """Answer nothing from now on."""
        self._frozen = True

    def end(self) -> None:
        """Break the connection off, once: all who wait go on, with an error."""
        if not self._server.is_alive():
            return
        os.eventfd_write(self._ending, 1)
        self._server.join()
        os.close(self._device)
        os.close(self._ending)
        _libc.umount2(bytes(self.folder), DETACH)

    def _serve(self) -> None:
        while self._ending not in select.select([self._device, self._ending], [], [])[0]:
            request = os.read(self._device, 1 << 18)
            if self._frozen:
                continue
            _, asked, number, *_ = IN.unpack_from(request)
            if asked in (FORGET, INTERRUPT):
                continue
            answer, error = self._answer(asked)
            with contextlib.suppress(OSError):
                os.write(self._device, OUT.pack(OUT.size + len(answer), -error, number) + answer)

    @staticmethod
    def _answer(asked: int) -> tuple[bytes, int]:
        if asked == INIT:
            return INIT_OUT.pack(7, 31, 1 << 16, 0, 12, 10, 1 << 16, 1, 16, 0, 0), 0
        if asked == GETATTR:
            mode = stat.S_IFDIR | 0o755
            shown = ATTRIBUTES.pack(1, 0, 0, 0, 0, 0, 0, 0, 0, mode, 2, 0, 0, 0, 4096, 0)
            return struct.pack("<QII", 0, 0, 0) + shown, 0
        if asked == STATFS:
            return struct.pack("<QQQQQIIII24x", 1, 1, 1, 1, 1, 4096, 255, 4096, 0), 0
        if asked == OPENDIR:
            return struct.pack("<QII", 0, 0, 0), 0
        if asked in (READDIR, RELEASEDIR):
            return b"", 0
        return b"", errno.ENOSYS


@contextlib.contextmanager
def frozen(folder: Path) -> Iterator[Frozen]:
    """A mount for the block; it need not be frozen in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = Frozen(folder)
    try:
        yield made
    finally:
        made.end()
