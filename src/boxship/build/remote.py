"""`remote`: a context that the engine fetches itself: a repository, an archive, a Dockerfile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain
from typing import Final

from boxship.build.dockerfile import gitref
from boxship.build.dockerfile.parse import SIZE_LIMIT
from boxship.build.uploads import USUAL_NAMES, Upload, Uploads
from boxship.errors import InvalidRequest, NotSupported
from boxship.image import fetching
from boxship.lib import compression
from boxship.wire import tar

SCHEMES: Final = ("http://", "https://")


async def fetch(remote: str, uploads: Uploads) -> Upload:
    """Fetch a context into a folder of its own."""
    if gitref.parse(remote) is not None:
        raise NotSupported("contexts from repositories are not supported by the classic door yet")
    if not remote.startswith(SCHEMES):
        raise InvalidRequest(f"remote context cannot be used: {remote[:200]}")
    return await asyncio.to_thread(_from_url, remote, uploads)


def _from_url(url: str, uploads: Uploads) -> Upload:
    pieces = fetching.chunks(url)
    first = b""
    while len(first) < tar.BLOCK and (piece := next(pieces, b"")):
        first += piece
    whole = chain((first,), pieces)
    if compression.detect(first) is compression.Compression.NONE and not _is_tar(first):
        return _dockerfile(whole, uploads)
    return uploads.unpack(whole)


def _is_tar(first: bytes) -> bool:
    return len(first) >= tar.BLOCK and (first[257:262] == b"ustar" or b"\0" in first[:100])


def _dockerfile(pieces: Iterator[bytes], uploads: Uploads) -> Upload:
    """Make a context with nothing but a Dockerfile."""
    text = b""
    for piece in pieces:
        text += piece
        if len(text) > SIZE_LIMIT:
            raise InvalidRequest(f"the Dockerfile is larger than {SIZE_LIMIT} bytes")
    upload = uploads.make()
    upload.write(USUAL_NAMES[0], text)
    return upload
