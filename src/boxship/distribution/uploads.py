"""A blob on its way to a registry: in one request, in pieces, and on after an interruption."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from boxship.distribution.errors import (
    NotThere,
    Refused,
    RegistryError,
    RegistryUnavailable,
    WrongAnswer,
)
from boxship.distribution.requests import Requests
from boxship.distribution.tokens import Scopes
from boxship.spec.digest import Digest

RANGE: Final = re.compile(r"(?:bytes=)?0-(\d{1,18})", re.ASCII)
OCTETS: Final = "application/octet-stream"
RESUMED: Final = 1 << 20  # less than this is sent again rather than asked for

# opens the content at an offset, up to an end
Content = Callable[[int, int], AsyncIterator[bytes]]


class Sent(Enum):
    """How a blob came to be in a repository."""

    EXISTED = "exists"
    MOUNTED = "mounted"
    PUSHED = "pushed"


@dataclass(frozen=True, slots=True)
class Upload:
    """One blob to be sent; `content` can be read as often as it takes."""

    digest: Digest
    size: int
    content: Content


async def begin(requests: Requests, url: str, scopes: Scopes) -> str | None:
    """Begin an upload; return where it goes on, or None when the blob was mounted."""
    headers = {"Content-Length": "0"}
    async with requests.send("POST", url, scopes, expected=(201, 202), headers=headers) as response:
        if response.status == 201:
            return None
        return requests.follow(url, _location(response.headers.get("Location")))


async def send(requests: Requests, start: str, scopes: Scopes, upload: Upload) -> None:
    """Send a blob to an upload that `begin` has begun.

    With pieces set, or after an interruption where the registry has kept a part, the rest goes
    in pieces; otherwise everything goes in the request that ends the upload.
    """
    pieces = requests.pool.settings.upload_piece
    if pieces and upload.size > pieces:
        await _in_pieces(requests, start, scopes, upload, 0, pieces)
        return
    try:
        await _at_once(requests, start, scopes, upload)
    except RegistryUnavailable:
        if upload.size < RESUMED:
            raise
        where, offset = await _kept(requests, start, scopes)
        if not offset or offset > upload.size:
            raise
        await _in_pieces(requests, where, scopes, upload, offset, upload.size)


async def _at_once(requests: Requests, start: str, scopes: Scopes, upload: Upload) -> None:
    headers = {"Content-Type": OCTETS, "Content-Length": str(upload.size)}
    body = (lambda: upload.content(0, upload.size)) if upload.size else None
    async with requests.send(
        "PUT",
        _with_digest(start, upload.digest),
        scopes,
        expected=(201,),
        headers=headers,
        body=body,
        attempts=1,
    ):
        return


async def _in_pieces(
    requests: Requests, where: str, scopes: Scopes, upload: Upload, offset: int, piece: int
) -> None:
    while offset < upload.size:
        end = min(offset + piece, upload.size)
        headers = {
            "Content-Type": OCTETS,
            "Content-Length": str(end - offset),
            "Content-Range": f"{offset}-{end - 1}",
        }
        async with requests.send(
            "PATCH",
            where,
            scopes,
            expected=(202,),
            headers=headers,
            body=_part(upload, offset, end),
            attempts=1,
        ) as response:
            where = requests.follow(where, _location(response.headers.get("Location")))
            taken = _taken(response.headers.get("Range", ""), end)
        if not offset < taken <= end:
            raise WrongAnswer(f"{requests.endpoint.host} says that it has {taken} bytes of {end}")
        offset = taken
    url = _with_digest(where, upload.digest)
    headers = {"Content-Length": "0"}
    async with requests.send("PUT", url, scopes, expected=(201,), headers=headers, attempts=1):
        return


def _part(upload: Upload, start: int, end: int) -> Callable[[], AsyncIterator[bytes]]:
    return lambda: upload.content(start, end)


async def _kept(requests: Requests, where: str, scopes: Scopes) -> tuple[str, int]:
    """Ask how much of an upload the registry has; nothing when it does not say."""
    try:
        async with requests.send("GET", where, scopes, expected=(204,)) as response:
            location = response.headers.get("Location")
            where = requests.follow(where, location) if location else where
            return where, _taken(response.headers.get("Range", ""), 0)
    except (NotThere, Refused, RegistryError):
        return where, 0


async def cancel(requests: Requests, where: str, scopes: Scopes) -> None:
    """Give an upload up."""
    try:
        async with requests.send("DELETE", where, scopes, expected=(204, 200, 202), attempts=1):
            return
    except RegistryError:
        return  # the registry forgets it by itself


def _taken(text: str, otherwise: int) -> int:
    found = RANGE.fullmatch(text.strip())
    if found is None:
        return otherwise
    return int(found[1]) + 1 if int(found[1]) else otherwise and 1


def _location(where: str | None) -> str:
    if not where:
        raise WrongAnswer("the registry does not say where the upload goes on")
    return where


def _with_digest(url: str, digest: Digest) -> str:
    return f"{url}{'&' if '?' in url else '?'}digest={digest}"
