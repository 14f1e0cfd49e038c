"""A blob on its way from a registry: from any offset, and on after an interruption."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from boxship.distribution.errors import RegistryUnavailable, Untrusted, WrongAnswer, WrongBytes
from boxship.distribution.pool import explain
from boxship.distribution.requests import Requests
from boxship.distribution.tokens import Scopes
from boxship.spec.digest import Digest

if TYPE_CHECKING:
    import aiohttp

RANGE: Final = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
PROGRESS: Final = 1 << 20  # what must have come for the tries to be counted anew


class Blob:
    """The rest of a blob, from `offset` on; iterate it once. `size` is the whole, -1 if unsaid."""

    def __init__(self, response: aiohttp.ClientResponse, url: str, offset: int, skip: int) -> None:
        self._response = response
        self._url = url
        self._skip = skip
        self.offset = offset
        length = response.content_length
        self.size = -1 if length is None else length + offset - skip
        self.headers: Mapping[str, str] = response.headers

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the bytes; RegistryUnavailable when they end before their time."""
        import aiohttp

        try:
            async for piece in self._response.content.iter_any():
                if self._skip:
                    cut = min(self._skip, len(piece))
                    self._skip -= cut
                    if cut == len(piece):
                        continue
                    yield piece[cut:]
                else:
                    yield piece
        except (aiohttp.ClientError, OSError) as error:
            raise explain("GET", self._url, error) from error


@asynccontextmanager
async def open_blob(
    requests: Requests, url: str, scopes: Scopes, offset: int, *, attempts: int | None = None
) -> AsyncIterator[Blob]:
    """Open a blob at an offset; a registry without ranges sends all, and the start is skipped."""
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    async with requests.send(
        "GET", url, scopes, expected=(200, 206), headers=headers, attempts=attempts
    ) as response:
        skip = 0
        if response.status == 206:
            found = RANGE.fullmatch(response.headers.get("Content-Range", ""))
            if not offset or found is None or int(found[1]) != offset:
                raise WrongAnswer(f"{requests.endpoint.host} sent another range than was asked for")
        elif offset:
            skip = offset
        yield Blob(response, url, offset, skip)


async def whole(
    requests: Requests, url: str, scopes: Scopes, digest: Digest, size: int, offset: int = 0
) -> AsyncIterator[bytes]:
    """Yield a blob of a known size, going on where it was interrupted; its digest is not checked.

    More bytes than announced, or another size, is WrongBytes at once.
    """
    at, failures, marked = offset, 0, offset
    tries = requests.pool.settings.attempts
    if at == size:
        return
    while True:
        try:
            async with open_blob(requests, url, scopes, at) as blob:
                if blob.size not in (-1, size):
                    raise WrongBytes(
                        f"blob {digest} has {blob.size} bytes, not the {size} announced"
                    )
                async for piece in blob:
                    at += len(piece)
                    if at > size:
                        raise WrongBytes(f"blob {digest} has more than the {size} bytes announced")
                    yield piece
            if at == size:
                return
            raise RegistryUnavailable(f"blob {digest} ended after {at} of {size} bytes")
        except RegistryUnavailable as error:
            if at - marked >= PROGRESS:
                failures, marked = 0, at
            failures += 1
            if error.status or failures >= tries or isinstance(error, Untrusted):
                raise
        await requests.pause(failures - 1)
