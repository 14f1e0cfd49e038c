"""A disk that remembers in which order it was written: what a power cut could leave of it.

A file system of one file is served by a process of its own through /dev/fuse, a loop device lies
on that file, and a real file system on the device. Each write and each flush goes into a log. A
disk promises no more than this: what was written before a flush is there after it; what came
later may be there, in any choice. `crash_images` makes such choices.

    with Disk(folder, size) as disk:            the log begins once the file system is made
        ...work in disk.mounted...
        position = disk.position()              how much has been written until now
        disk.fail(position + 9)                 from there on, each write fails (EIO)
    for at, image in crash_images(disk, 20, random): ...

The protocol is that of <linux/fuse.h>, as far as a loop device speaks it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from boxship.kernel import mounts

HEADER = struct.Struct("<IIQQIIII")
RECORD = struct.Struct("<qI")  # offset, or FLUSH; how many bytes follow
ATTRIBUTES = struct.Struct("<6Q10I")
FAILING = struct.Struct("<QQ")  # from the write of this number on, until that one
FOR_EVER = (1 << 64) - 1
FLUSH = -1
NAME = b"disk"
DIRECT = 1
WRITE_LIMIT = 1 << 17
(LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE) = (1, 2, 3, 4, 14, 15, 16)
(RELEASE, FSYNC, FLUSH_CALL, INIT, INTERRUPT, BATCH_FORGET) = (18, 20, 25, 26, 36, 42)
UNANSWERED = frozenset({FORGET, BATCH_FORGET, INTERRUPT})


class Served:
    """The one file, and the log of what was done to it."""

    def __init__(self, folder: str, disk: int, log: int, count: int, size: int) -> None:
        self.disk, self.log, self.count, self.size = disk, log, count, size
        self.done = 0
        self.failing = os.open(f"{folder}/failing", os.O_RDONLY)

    def check(self) -> None:
        """Fail where the disk is to fail."""
        start, end = FAILING.unpack(os.pread(self.failing, FAILING.size, 0))
        if start <= self.done < end:
            self.done += 1
            os.pwrite(self.count, struct.pack("<Q", self.done), 0)
            raise OSError(errno.EIO, "the disk fails")

    def note(self, offset: int, data: bytes) -> None:
        os.write(self.log, RECORD.pack(offset, len(data)) + data)
        self.done += 1
        os.pwrite(self.count, struct.pack("<Q", self.done), 0)

    def attributes(self, node: int) -> bytes:
        folder = node == 1
        mode = 0o40755 if folder else 0o100600
        size = 0 if folder else self.size
        blocks = size // 512
        return ATTRIBUTES.pack(node, size, blocks, *[0] * 6, mode, 1, 0, 0, 0, 4096, 0)

    def answer(self, opcode: int, node: int, body: bytes) -> bytes:
        """Return what a request gets; OSError says which error."""
        match opcode:
            case _ if opcode == INIT:
                return struct.pack(
                    "<IIIIHHIIHHI", 7, 31, 0, 0, 16, 12, WRITE_LIMIT, 1, 32, 0, 0
                ) + (bytes(28))
            case _ if opcode == LOOKUP:
                if body.rstrip(b"\0") != NAME:
                    raise OSError(errno.ENOENT, "no such file")
                return struct.pack("<QQQQII", 2, 0, 60, 60, 0, 0) + self.attributes(2)
            case _ if opcode in (GETATTR, SETATTR):
                return struct.pack("<QII", 60, 0, 0) + self.attributes(node)
            case _ if opcode == OPEN:
                return struct.pack("<QII", 0, DIRECT, 0)
            case _ if opcode == READ:
                _, offset, size = struct.unpack_from("<QQI", body)
                return os.pread(self.disk, size, offset)
            case _ if opcode == WRITE:
                _, offset, size = struct.unpack_from("<QQI", body)
                data = body[40 : 40 + size]
                self.check()
                os.pwrite(self.disk, data, offset)
                self.note(offset, data)
                return struct.pack("<II", size, 0)
            case _ if opcode == FSYNC:
                self.check()
                self.note(FLUSH, b"")
                return b""
            case _ if opcode in (RELEASE, FLUSH_CALL):
                return b""
        raise OSError(errno.ENOSYS, "not served")


def serve(fuse: int, folder: str) -> None:
    """Answer requests until the file system is gone."""
    disk = os.open(f"{folder}/disk", os.O_RDWR)
    log = os.open(f"{folder}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    count = os.open(f"{folder}/count", os.O_WRONLY)
    served = Served(folder, disk, log, count, os.fstat(disk).st_size)
    while True:
        try:
            request = os.read(fuse, WRITE_LIMIT + 4096)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.ENOENT):
                continue
            return  # ENODEV: unmounted
        _, opcode, unique, node, *_ = HEADER.unpack_from(request)
        if opcode in UNANSWERED:
            continue
        code, body = 0, b""
        try:
            body = served.answer(opcode, node, request[HEADER.size :])
        except OSError as error:
            code = error.errno or errno.EIO
        os.write(fuse, struct.pack("<IiQ", 16 + len(body), -code, unique) + body)


def run(*command: str) -> str:
    """Run a program of the system's; return what it printed."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Disk:
    """The disk while it is in use, and its log afterwards."""

    folder: Path
    size: int
    _end: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def mounted(self) -> Path:
        return self.folder / "mounted"

    def __enter__(self) -> Disk:
        for name in ("mounted", "fuse"):
            (self.folder / name).mkdir()
        first = self.folder / "disk"
        first.touch()
        os.truncate(first, self.size)
        run("mkfs.ext4", "-q", str(first))
        run("cp", "--sparse=always", str(first), str(self.folder / "first"))
        (self.folder / "count").write_bytes(bytes(8))
        (self.folder / "failing").write_bytes(bytes(FAILING.size))
        (self.folder / "log").touch()
        fuse = os.open("/dev/fuse", os.O_RDWR)
        point = str(self.folder / "fuse")
        options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0"
        mounts.mount("blocklog", point, "fuse", 0, options)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.blocklog", str(fuse), str(self.folder)],
            pass_fds=[fuse],
        )
        os.close(fuse)
        with contextlib.ExitStack() as undo:
            undo.callback(_end, server)
            # any mount namespace made meanwhile may hold the device a little longer
            undo.callback(mounts.umount, point, mounts.MNT_DETACH)
            device = run("losetup", "-f", "--show", f"{point}/{NAME.decode()}")
            undo.callback(run, "losetup", "-d", device)
            # one request is one write: of a longer one that fails in its middle loop tells nobody
            queue = Path("/sys/block", Path(device).name, "queue/max_sectors_kb")
            queue.write_text(str(WRITE_LIMIT >> 10))
            mounts.mount(device, str(self.mounted), "ext4")
            undo.callback(_unmount, str(self.mounted))
            self._end = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def position(self) -> int:
        """Return how many writes and flushes there have been."""
        data = (self.folder / "count").read_bytes()
        return int(struct.unpack("<Q", data)[0])

    def fail(self, start: int, many: int = FOR_EVER) -> None:
        """Fail so many writes and flushes, from the one at position `start` on."""
        with open(self.folder / "failing", "r+b", buffering=0) as file:
            file.write(FAILING.pack(start, min(start + many, FOR_EVER)))

    def log(self) -> Iterator[tuple[int, bytes]]:
        """Yield each write as its offset and bytes, a flush as FLUSH and nothing."""
        with open(self.folder / "log", "rb") as file:
            while head := file.read(RECORD.size):
                offset, size = RECORD.unpack(head)
                yield offset, file.read(size)


def crash_images(
    disk: Disk, many: int, chance: random.Random, since: int = 0
) -> Iterator[tuple[int, Path]]:
    """Yield positions in the log and what the disk could hold had the power gone just there."""
    moments = range(since, sum(1 for _ in disk.log()) + 1)
    wanted = set(chance.sample(moments, min(many, len(moments))))
    sure = disk.folder / "sure"
    run("cp", "--sparse=always", str(disk.folder / "first"), str(sure))
    image = disk.folder / "image"
    with open(sure, "r+b", buffering=0) as file:
        unsure: list[tuple[int, bytes]] = []
        for at, (offset, data) in enumerate((*disk.log(), (FLUSH, b""))):
            if at in wanted:
                run("cp", "--sparse=always", str(sure), str(image))
                keep = chance.random()
                with open(image, "r+b", buffering=0) as crashed:
                    for where, what in unsure:
                        if chance.random() < keep:
                            os.pwrite(crashed.fileno(), what, where)
                yield at, image
                image.unlink()
            if offset == FLUSH:
                for where, what in unsure:
                    os.pwrite(file.fileno(), what, where)
                unsure.clear()
            else:
                unsure.append((offset, data))
    sure.unlink()


@contextlib.contextmanager
def attached(image: Path, point: Path, kind: str = "ext4") -> Iterator[Path]:
    """The file system in an image, recovered by its journal as after a reboot."""
    device = run("losetup", "-f", "--show", str(image))
    try:
        mounts.mount(device, str(point), kind)
        try:
            yield point
        finally:
            _unmount(str(point))
    finally:
        run("losetup", "-d", device)


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server of a file system that nobody can reach here any more.

    It ends by itself once the last mount is gone; a mount namespace that was made meanwhile, by
    any process of the machine, holds a copy for as long as it lives.
    """
    server.kill()
    server.wait()


def _unmount(point: str) -> None:
    for _ in range(50):
        try:
            mounts.umount(point)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(0.1)
        else:
            return
    mounts.umount(point)


if __name__ == "__main__":
    serve(int(sys.argv[1]), sys.argv[2])
