"""One blob on its way from another registry: written to a file here, and read from it while it
grows by every client that wants it.

The digest is known only at the end. Clients get all but the last bytes before that; when the
digest is another, they never get them, and what they have is visibly not whole.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import AsyncIterator
from typing import Final

from boxship.registry.names import Digest
from boxship.registry.parts import Incomplete
from boxship.registry.uploads import Upload, Uploads

PIECE: Final = 512 << 10
WITHHELD: Final = 1  # bytes that wait for the digest
BATCH: Final = 1 << 20


class Download:
    """A blob that is being fetched. `size` is what the other registry says it is."""

    def __init__(self, digest: Digest, size: int, upload: Upload, uploads: Uploads) -> None:
        self.digest = digest
        self.size = size
        self._upload = upload
        self._uploads = uploads
        self._descriptor = os.open(upload.path, os.O_RDONLY | os.O_CLOEXEC)
        # When the last who reads has let go, also of those who have not begun yet.
        weakref.finalize(self, os.close, self._descriptor)
        self._changed = asyncio.Condition()
        self._ended = False
        self._problem: BaseException | None = None

    async def fill(self, content: AsyncIterator[bytes]) -> None:
        """Write what arrives, and make it a blob; raises what has gone wrong."""
        batch: list[bytes] = []
        held = 0
        try:
            async for piece in content:
                batch.append(piece)
                held += len(piece)
                if held >= BATCH:
                    await self._write(batch)
                    batch, held = [], 0
            if batch:
                await self._write(batch)
            await asyncio.to_thread(self._uploads.finish, self._upload, self.digest)
        except BaseException as error:
            self._problem = error
            await asyncio.to_thread(self._uploads.cancel, self._upload)
            raise
        finally:
            self._ended = True
            async with self._changed:
                self._changed.notify_all()

    async def wait(self) -> None:
        """Wait until it is a blob; Incomplete when it does not become one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended)
        if self._problem is not None:
            raise Incomplete("the blob could not be fetched") from self._problem

    async def read(self, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the content as it arrives, or a part; Incomplete when the rest does not come."""
        at, end = start, self.size if end is None else end
        while at < end:
            count = min(PIECE, await self._more(at), end - at)
            data = await asyncio.to_thread(os.pread, self._descriptor, count, at)
            if not data:
                raise Incomplete("the blob is shorter than was said")
            at += len(data)
            yield data

    async def _write(self, batch: list[bytes]) -> None:
        await asyncio.to_thread(self._upload.append, batch)
        async with self._changed:
            self._changed.notify_all()

    async def _more(self, at: int) -> int:
        """Wait for bytes after `at`; return how many there are."""

        def ready() -> int:
            there = self._upload.size - at
            return there if self._ended else min(there, self.size - WITHHELD - at)

        async with self._changed:
            await self._changed.wait_for(lambda: self._ended or ready() > 0)
        if self._problem is not None:
            raise Incomplete("the blob could not be fetched") from self._problem
        return ready()
