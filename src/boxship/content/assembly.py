"""A blob put together from bytes and parts of files, and what is left out of it as known.

What a blob has in common with another need not be written again. Such a blob is kept in pieces:

    <hex>.pieces    its own bytes | msgpack of Pieces | the length of that, 8 bytes | MAGIC

It is as good as whole for who reads it from its start, and made whole for who wants a file.

As long as a blob begins like its base, it is not hashed: its digest goes on from a state of the
base's that was kept (see `states`).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from threading import Event
from types import TracebackType
from typing import Final, Protocol

import msgspec

from boxship.content.errors import WrongContent
from boxship.content.states import States
from boxship.content.writeback import Writeback
from boxship.lib.beside import Helper
from boxship.lib.filepart import FilePart
from boxship.spec.digest import Digest

MAGIC: Final = b"BXPIECES"
SUFFIX: Final = ".pieces"
OWN: Final = -1
CHUNK: Final = 1 << 18
GATHERED: Final = 1 << 20
UNWANTED: Final = "it is not wanted any more"
COPIED: Final = 16 << 20
FLUSHED: Final = 16 << 20  # what is larger waits for the disk before it is wanted
MOST_TRAILER: Final = 64 << 20


class Pieces(msgspec.Struct, array_like=True):
    """What a pieced blob is made of: runs of bytes, each (where in the base, or OWN; how many)."""

    base: str
    size: int
    runs: list[tuple[int, int]]


class Opened(Protocol):
    """Something with an open file that it closes when nobody has it any more."""

    @property
    def file(self) -> int:
        """The file; one that is not open yet is opened now."""


class _Open:
    """A file that is open for as long as anybody has this object."""

    def __init__(self, file: int) -> None:
        self.file = os.dup(file)

    def __del__(self) -> None:
        os.close(self.file)


class Assembly:
    """A blob in the making; hashed and written by threads of its own while more is added.

    With a `base` what is said to be in that is not written, nor what both begin with. `finish`
    it, or `drop` it.
    """

    def __init__(
        self,
        path: str,
        base: Digest | None = None,
        ended: Callable[[], None] | None = None,
        known: int = -1,
        states: States | None = None,
        unwanted: Event | None = None,
    ) -> None:
        """`known` is the base, open for reading: it is the assembly's now; `states` are its.

        Without a base those of the new blob are added to them. Once it is `unwanted` it fails.
        """
        self._then = ended
        self._known = known
        self.path = path
        self.base = base
        self.size = 0
        self._runs: list[tuple[int, int]] = []
        self._parts: list[bytes] = []  # not handed to the threads yet
        self._own: list[bytes] = []  # the same, but only what is written
        self._gathered = 0
        self._written = 0
        self._disk = Helper()
        self._writeback = Writeback(self._disk)
        self._hash = hashlib.sha256()
        self._hashed = 0
        self.states = states or States()
        self._noting = base is None
        self._same = known >= 0  # up to here
        self._buffer = memoryview(bytearray(GATHERED))
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._hasher, self._writer = Helper(), Helper()
        self._hasher.__enter__()
        self._writer.__enter__()
        self._disk.__enter__()
        self._complete = False
        self._ended = False
        self._unwanted = unwanted or Event()

    def add(self, data: bytes, at: int = OWN) -> None:
        """Take the next bytes; `at` is where the base has the same."""
        if self._same and at == OWN:
            alike = os.pread(self._known, len(data), self.size) == data
            at = self.size if alike else OWN
        if self._goes_on(at, len(data)):
            return
        self._note(at, len(data))
        self._parts.append(data)
        if at == OWN or self.base is None:
            self._own.append(data)
        self._gathered += len(data)
        if self._gathered >= GATHERED:
            self._hand_over()

    def take(self, parts: Iterable[bytes | FilePart]) -> None:
        """Take what comes, and wait where there is no room for more of it."""
        for part in parts:
            self._check()
            if isinstance(part, FilePart):
                self.add_file(_Open(part.file), 0, part.size, light=False)
            else:
                self.add(part)

    def add_file(
        self, owner: Opened, offset: int, size: int, at: int = OWN, *, light: bool = True
    ) -> None:
        """Take a part of a file, which the threads look at when it is its turn.

        One that is not `light` takes a descriptor while it waits.
        """
        if self._goes_on(at, size):
            return
        self._note(at, size)
        self._hand_over()
        self._hasher.do(partial(self._hash_file, owner, offset, size), light=light)
        if at == OWN or self.base is None:
            self._writer.do(partial(self._copy_file, owner, offset, size), light=light)

    def add_known(self, at: int, size: int) -> None:
        """Take a part of the base as it is."""
        if self._goes_on(at, size):
            return
        self._note(at, size)
        self._hand_over()
        self._hasher.do(partial(self._hash_part, self._known, at, size), light=True)

    def _goes_on(self, at: int, size: int) -> bool:
        """Pass over what is where the base has it, if all before was, too."""
        if self._same and at == self.size:
            self._note(at, size)
            return True
        self._differ()
        return False

    def _differ(self) -> None:
        """From here on it is not what the base is."""
        if self._same:
            self._same = False
            self._hasher.do(partial(self._hash_base, self.size), light=True)

    def _hash_base(self, size: int) -> None:
        at, self._hash = self.states.before(size)
        self._hashed, self._noting = at, True
        self._hash_part(self._known, at, size - at)
        self._noting = False

    def _note(self, at: int, size: int) -> None:
        self.size += size
        if self.base is None:
            return
        if self._runs:
            before, length = self._runs[-1]
            if at == before == OWN or (OWN not in (at, before) and at == before + length):
                self._runs[-1] = (before, length + size)
                return
        self._runs.append((at, size))

    def _hand_over(self) -> None:
        parts, own = self._parts, self._own
        self._parts, self._own, self._gathered = [], [], 0
        if not parts:
            return
        whole = b"".join(parts)
        self._hasher.do(partial(self._update, whole))
        if self.base is None:
            self._writer.do(partial(self._write, whole))
        elif own:
            self._writer.do(partial(self._write, b"".join(own)))

    def _hash_file(self, owner: Opened, offset: int, size: int) -> None:
        self._hash_part(owner.file, offset, size)

    def _hash_part(self, file: int, offset: int, size: int) -> None:
        while size:
            self._check()
            got = os.preadv(file, [self._buffer[: min(GATHERED, size)]], offset)
            if not got:
                raise WrongContent("a file ended while it was read")
            self._update(self._buffer[:got])
            offset += got
            size -= got

    def _check(self) -> None:
        if self._unwanted.is_set():
            raise WrongContent(UNWANTED)

    def _update(self, data: bytes | memoryview) -> None:
        self._hash.update(data)
        self._hashed += len(data)
        if self._noting:
            self.states.note(self._hashed, self._hash)

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._wrote(len(data))

    def _copy_file(self, owner: Opened, offset: int, size: int) -> None:
        file = owner.file
        while size:
            self._check()
            done = os.sendfile(self._file, file, offset, min(size, COPIED))
            if not done:
                raise WrongContent("a file ended while it was read")
            offset += done
            size -= done
            self._wrote(done)

    def _wrote(self, size: int) -> None:
        self._written += size
        self._writeback.reached(self._file, self._written)

    def complete(self) -> None:
        """Nothing more comes: the threads go on with the rest, and bring it to the disk."""
        if self._complete:
            return
        self._complete = True
        self._differ()
        self._hand_over()
        if self.base is not None:
            self._writer.do(self._write_trailer)
        self._writer.do(self._flush)

    def _flush(self) -> None:
        if self._written >= FLUSHED:
            self._disk.do(partial(os.fdatasync, self._file))

    def finish(self) -> Digest:
        """Wait for the threads; return what the blob is called."""
        self.complete()
        if not self._ended:
            self._end(None)
        return Digest("sha256:" + self._hash.hexdigest())

    def _write_trailer(self) -> None:
        assert self.base is not None
        said = msgspec.msgpack.encode(Pieces(str(self.base), self.size, self._runs))
        self._write(said + len(said).to_bytes(8, "big") + MAGIC)

    def _end(self, error: BaseException | None) -> None:
        self._ended = True
        kind = None if error is None else type(error)
        try:
            self._hasher.__exit__(kind, error, None)
        finally:
            try:
                self._writer.__exit__(kind, error, None)
            finally:
                self._disk.__exit__(kind, error, None)

    def place(self, path: str) -> int:
        """Give it its name; return its descriptor, which is the caller's now."""
        os.rename(self.path, path)
        file, self._file = self._file, -1
        return file

    def drop(self) -> None:
        """End it, unless it has been put in place."""
        then, self._then = self._then, None
        if then is not None:
            then()
        if not self._ended:
            self._unwanted.set()
            self._end(WrongContent(UNWANTED))
        known, self._known = self._known, -1
        if known >= 0:
            os.close(known)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            os.unlink(self.path)

    def __enter__(self) -> Assembly:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.drop()


def read_pieces(file: int) -> Pieces:
    """Return what an open pieced blob is made of; WrongContent where it is damaged."""
    size = os.fstat(file).st_size
    end = os.pread(file, 16, max(0, size - 16))
    length = int.from_bytes(end[:8], "big")
    if end[8:] != MAGIC or not 0 < length <= min(size - 16, MOST_TRAILER):
        raise WrongContent("a blob in pieces is damaged")
    try:
        found = msgspec.msgpack.decode(os.pread(file, length, size - 16 - length), type=Pieces)
        Digest.parse(found.base)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise WrongContent("a blob in pieces is damaged") from error
    return found


def content(file: int, base: int, pieces: Pieces) -> Iterator[bytes]:
    """Yield a pieced blob; both files stay open until it ends."""
    own = 0
    for at, size in pieces.runs:
        source, offset = (file, own) if at == OWN else (base, at)
        end = offset + size
        while offset < end:
            part = os.pread(source, min(CHUNK, end - offset), offset)
            if not part:
                raise WrongContent("a blob in pieces is damaged")
            offset += len(part)
            yield part
        if at == OWN:
            own = end
