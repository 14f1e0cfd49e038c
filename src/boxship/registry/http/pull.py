"""Pulling: manifests and blobs are read."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final

from boxship.registry.errors import DigestInvalid, ManifestUnknown, RangeInvalid, TagInvalid
from boxship.registry.events import Event, Target
from boxship.registry.http.call import Call, Reply
from boxship.registry.names import Digest, reference
from boxship.registry.parts import Flow, Part
from boxship.registry.service import Service

RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
FOREVER: Final = ("Cache-Control", "max-age=31536000")
BYTES: Final = "application/octet-stream"


async def get_manifest(call: Call, service: Service) -> Reply:
    """GET or HEAD of a manifest by tag or digest. Spec: pulling manifests."""
    try:
        wanted = reference(call.target.item)
    except (TagInvalid, DigestInvalid):
        raise ManifestUnknown(call.name, call.target.item[:200]) from None
    stored = await service.find_manifest(call.name, wanted)
    headers = [
        ("Content-Type", stored.media_type),
        ("Docker-Content-Digest", stored.digest),
        ("ETag", f'"{stored.digest}"'),
    ]
    if _known(call.headers.get("if-none-match"), stored.digest):
        return Reply(HTTPStatus.NOT_MODIFIED, headers)
    if call.method == "GET":
        tag = "" if isinstance(wanted, Digest) else wanted
        told = Target(stored.media_type, stored.digest, len(stored.data), call.name, tag=tag)
        service.events.tell(Event("pull", told, call.source))
    return Reply(HTTPStatus.OK, headers, stored.data)


async def _nothing() -> AsyncIterator[bytes]:
    """The body of an answer to HEAD."""
    return
    yield b""


async def get_blob(call: Call, service: Service) -> Reply:
    """GET or HEAD of a blob, or of a part of it. Spec: pulling blobs."""
    digest = Digest.parse(call.target.item)
    headers = [("Content-Type", BYTES), ("Docker-Content-Digest", digest)]
    headers += [("ETag", f'"{digest}"'), FOREVER, ("Accept-Ranges", "bytes")]
    if call.method == "HEAD":
        size = await service.find_size(call.name, digest)
        return Reply(HTTPStatus.OK, headers, Flow(_nothing(), size))
    found = await service.find_blob(call.name, digest)
    told = Target(BYTES, digest, found.size, call.name)
    if _known(call.headers.get("if-none-match"), digest):
        found.close()
        return Reply(HTTPStatus.NOT_MODIFIED, headers)
    service.events.tell(Event("pull", told, call.source))
    redirects = service.policy.redirect and isinstance(found, Part)
    if redirects and (place := service.blobs.location(call.name, digest)):
        found.close()
        return Reply(HTTPStatus.TEMPORARY_REDIRECT, [("Location", place), *headers])
    try:
        asked = _range(call, digest, found.size)
    except RangeInvalid:
        found.close()
        raise
    if asked is None:
        return Reply(HTTPStatus.OK, headers, found.cut(0, found.size))
    first, last = asked
    headers.append(("Content-Range", f"bytes {first}-{last}/{found.size}"))
    return Reply(HTTPStatus.PARTIAL_CONTENT, headers, found.cut(first, last - first + 1))


def _known(condition: str | None, digest: Digest) -> bool:
    """Whether a client that names entity tags has this content already."""
    if not condition:
        return False
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in condition.split(",")]
    return digest in tags or "*" in tags


def _range(call: Call, digest: Digest, size: int) -> tuple[int, int] | None:
    """Return the first and last byte asked for; None for all. RangeInvalid beyond the end.

    Several ranges at once, and units other than bytes, may be ignored, and are.
    """
    text = call.headers.get("range")
    if not text or not (found := RANGE.fullmatch(text.replace(" ", ""))):
        return None
    condition = call.headers.get("if-range")
    if condition and condition.strip('"') != digest:
        return None
    first, last = found[1], found[2]
    if not first and not last:
        return None
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
        if last and int(last) < start:
            return None
    if start > end:
        answer = [("Content-Range", f"bytes */{size}")]
        raise RangeInvalid(f"the blob has only {size} bytes", answer)
    return start, end
