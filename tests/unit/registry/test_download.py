"""A blob that is fetched once for all who want it, whenever they come to read."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from boxship.registry.names import Digest
from boxship.registry.parts import Incomplete
from boxship.registry.proxy.download import Download

CONTENT = b"0123456789" * 1000
NAME = Digest.of(CONTENT)


class Upload:
    """A file that grows."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.size = 0
        path.touch()

    def append(self, pieces: Sequence[bytes]) -> None:
        with open(self.path, "ab") as file:
            self.size += file.write(b"".join(pieces))


class Uploads:
    """Puts what is finished elsewhere, as storage does; or refuses."""

    def __init__(self, *, refuses: bool = False) -> None:
        self._refuses = refuses

    def finish(self, upload: Upload, digest: Digest) -> None:
        if self._refuses:
            raise OSError("not what was promised")
        os.rename(upload.path, upload.path + ".blob")

    def cancel(self, upload: Upload) -> None:
        os.unlink(upload.path)


async def coming() -> AsyncIterator[bytes]:
    yield CONTENT[:4000]
    await asyncio.sleep(0)
    yield CONTENT[4000:]


def download(folder: Path, **options: bool) -> Download:
    parts: Any = (Upload(folder / "upload"), Uploads(**options))
    return Download(NAME, len(CONTENT), *parts)


async def read(made: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in made])


def test_who_reads_while_it_comes_and_who_begins_when_it_is_there_get_all(tmp_path: Path) -> None:
    """The answer's head is sent before its body is read: a small blob can be there by then."""

    async def story() -> list[bytes]:
        made = download(tmp_path)
        late = made.read()
        early = asyncio.ensure_future(read(made.read()))
        await made.fill(coming())
        return [await early, await read(late)]

    assert asyncio.run(story()) == [CONTENT, CONTENT]


def test_nobody_gets_the_end_of_what_is_not_what_was_promised(tmp_path: Path) -> None:
    async def story() -> bytes:
        made = download(tmp_path, refuses=True)
        got = b""

        async def keep() -> None:
            nonlocal got
            async for piece in made.read():
                got += piece

        reading = asyncio.ensure_future(keep())
        with pytest.raises(OSError, match="not what was promised"):
            await made.fill(coming())
        with pytest.raises(Incomplete):
            await reading
        return got

    assert len(asyncio.run(story())) < len(CONTENT)


def test_the_file_is_closed_when_nobody_can_read_it_any_more(tmp_path: Path) -> None:
    async def story() -> None:
        made = download(tmp_path)
        _never_begun = made.read()
        await made.fill(coming())

    def open_files() -> list[str]:
        paths = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
        return [os.readlink(path) for path in paths if os.path.exists(path)]

    asyncio.run(story())
    gc.collect()
    assert not [path for path in open_files() if str(tmp_path) in path]
