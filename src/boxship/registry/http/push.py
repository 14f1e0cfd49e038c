"""Pushing: blobs in one piece or many, mounted from elsewhere, and manifests."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import Final

from boxship.registry import documents
from boxship.registry.auth.access import Access, Action
from boxship.registry.errors import (
    BlobUnknown,
    DigestInvalid,
    NameInvalid,
    RangeInvalid,
    SizeInvalid,
    StorageUnavailable,
    TooLarge,
    UploadInvalid,
)
from boxship.registry.events import Event, Target
from boxship.registry.http.call import Call, Reply
from boxship.registry.names import DIGITS, Digest, Name, Tag, reference
from boxship.registry.service import Service
from boxship.registry.uploads import Upload
from boxship.transport.exchange import Exchange
from boxship.transport.gone import ClientGone

CONTENT_RANGE: Final = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/(?:\d+|\*))?", re.ASCII)
BATCH: Final = 1 << 20  # bytes that go to the disk at once
STALL: Final = 60.0  # seconds for some more of a body to come
SPARE: Final = 64 << 20  # bytes that stay free on the disk
BYTES: Final = "application/octet-stream"


async def begin_upload(call: Call, service: Service) -> Reply:
    """POST: mount a blob from elsewhere, take one in this request, or start an upload."""
    if mount := call.target.one("mount"):
        if (size := await _mount(call, service, Digest.parse(mount))) is not None:
            return _created(call, Digest(mount), size)
    elif (digest := call.target.one("digest")) and call.exchange.head.length != 0:
        return await _monolithic(call, service, Digest.parse(digest))
    algorithm = call.target.one("digest-algorithm") or "sha256"
    if algorithm not in DIGITS:
        raise DigestInvalid(f"unsupported digest algorithm: {algorithm[:50]!r}")
    upload = await service.work(service.uploads.begin, call.name, algorithm)
    return Reply(HTTPStatus.ACCEPTED, _progress(call, upload))


async def upload_status(call: Call, service: Service) -> Reply:
    """GET: how far an upload has come."""
    upload = await service.work(service.uploads.find, call.name, call.target.item)
    return Reply(HTTPStatus.NO_CONTENT, _progress(call, upload))


async def append_upload(call: Call, service: Service) -> Reply:
    """PATCH: the next bytes of an upload, or in one stream all of them."""
    upload = await service.work(service.uploads.find, call.name, call.target.item)
    async with service.uploads.turn(upload):
        await _receive_part(call, service, upload)
        return Reply(HTTPStatus.ACCEPTED, _progress(call, upload))


async def finish_upload(call: Call, service: Service) -> Reply:
    """PUT: the last bytes of an upload, if any, and what its digest is."""
    if not (text := call.target.one("digest")):
        raise DigestInvalid("the digest of the upload is missing")
    digest = Digest.parse(text)
    upload = await service.work(service.uploads.find, call.name, call.target.item)
    async with service.uploads.turn(upload):
        await _receive_part(call, service, upload)
        await service.work(service.uploads.finish, upload, digest)
    told = Target(BYTES, digest, upload.size, call.name)
    service.events.tell(Event("push", told, call.source))
    return _created(call, digest, upload.size)


async def cancel_upload(call: Call, service: Service) -> Reply:
    """DELETE: forget an upload."""
    upload = await service.work(service.uploads.find, call.name, call.target.item)
    async with service.uploads.turn(upload):
        await service.work(service.uploads.cancel, upload)
    return Reply(HTTPStatus.NO_CONTENT, [("Docker-Upload-UUID", upload.id)])


async def put_manifest(call: Call, service: Service) -> Reply:
    """PUT: keep a manifest under a tag or its digest."""
    wanted = reference(call.target.item)
    exchange = call.exchange
    if (exchange.head.length or 0) > documents.LIMIT:
        raise TooLarge(f"a manifest may have {documents.LIMIT} bytes")
    data = bytearray()
    while piece := await _read(exchange):
        data += piece
        if len(data) > documents.LIMIT:
            raise TooLarge(f"a manifest may have {documents.LIMIT} bytes")
    said = call.headers.get("content-type", "")
    stored = await service.work(service.manifests.put, call.name, wanted, bytes(data), said)
    tags = _more_tags(call, wanted)
    for tag in tags:
        await service.work(service.manifests.point, call.name, tag, stored.digest)
    named = [wanted] if isinstance(wanted, Tag) else tags
    for tag in named or [Tag("")]:
        target = Target(stored.media_type, stored.digest, len(stored.data), call.name, tag=tag)
        target.references = [*stored.manifest.blobs(), *stored.manifest.manifests()]
        service.events.tell(Event("push", target, call.source))
    headers = [
        ("Location", f"{call.root}/v2/{call.name}/manifests/{stored.digest}"),
        ("Docker-Content-Digest", stored.digest),
    ]
    if (subject := stored.manifest.subject) is not None:
        headers.append(("OCI-Subject", subject))
    headers += [("OCI-Tag", tag) for tag in tags]
    return Reply(HTTPStatus.CREATED, headers)


def _more_tags(call: Call, wanted: Tag | Digest) -> list[Tag]:
    """Return the tags that a push by digest asks for beside."""
    given = call.target.query.get("tag", ())
    return [Tag.parse(tag) for tag in given] if isinstance(wanted, Digest) else []


async def _mount(call: Call, service: Service, digest: Digest) -> int | None:
    """Try to mount a blob; return its size.

    Whether the other repository does not exist, has no such blob or may not be read by who asks,
    makes no difference: the blob is to be uploaded then.
    """
    source = call.target.one("from")
    try:
        other = Name.parse(source)
    except NameInvalid:
        return None
    if not call.identity.may(Access.repository(other, Action.PULL)):
        return None
    try:
        size = await service.work(service.blobs.mount, call.name, digest, other)
    except BlobUnknown:
        return None
    target = Target(BYTES, digest, size, call.name, source=other)
    service.events.tell(Event("mount", target, call.source))
    return size


async def _monolithic(call: Call, service: Service, digest: Digest) -> Reply:
    """Take a whole blob in one request; what does not arrive whole is not kept."""
    upload = await service.work(service.uploads.begin, call.name, digest.algorithm)
    try:
        async with service.uploads.turn(upload):
            await _receive(call.exchange, service, upload)
            await service.work(service.uploads.finish, upload, digest)
    except BaseException:
        await service.work(service.uploads.cancel, upload)
        raise
    told = Target(BYTES, digest, upload.size, call.name)
    service.events.tell(Event("push", told, call.source))
    return _created(call, digest, upload.size)


async def _receive_part(call: Call, service: Service, upload: Upload) -> None:
    """Take a request's bytes at the place that its Content-Range says; all of them or none.

    Without a Content-Range they follow what is there. A client that leaves in the middle may go on
    where it has come to.
    """
    text = call.headers.get("content-range")
    if not text:
        await _receive(call.exchange, service, upload)
        return
    if not (found := CONTENT_RANGE.fullmatch(text.strip())):
        raise UploadInvalid(f"invalid Content-Range: {text[:100]!r}")
    first, last = int(found[1]), int(found[2])
    length = call.exchange.head.length
    if first != upload.size:
        raise RangeInvalid("the chunk does not follow what was received", _progress(call, upload))
    if last < first or (length is not None and length != last - first + 1):
        raise RangeInvalid("Content-Range and length do not agree", _progress(call, upload))
    back = upload.mark()
    await _receive(call.exchange, service, upload)
    if upload.size != last + 1:
        await service.work(back)
        raise SizeInvalid("the chunk is not as long as Content-Range says")


async def _receive(exchange: Exchange, service: Service, upload: Upload) -> None:
    """Write what arrives, in batches; one is written while the next arrives."""
    exchange.cancellable = False  # what a client has sent before it left is kept
    _check_room(service, exchange.head.length or 0)
    loop = asyncio.get_running_loop()
    batch: list[bytes] = []
    held = 0
    writing: asyncio.Future[None] | None = None
    try:
        while piece := await _read(exchange):
            batch.append(piece)
            held += len(piece)
            if held >= BATCH:
                if writing is not None:
                    await writing
                writing = loop.run_in_executor(None, upload.append, batch)
                batch, held = [], 0
    finally:
        if writing is not None:
            await writing
        if batch:
            await service.work(upload.append, batch)


def _check_room(service: Service, length: int) -> None:
    free = service.storage.free() if length > SPARE else None
    if free is not None and free < length + SPARE:
        raise StorageUnavailable("cannot store: no space left on device for a blob of this size")


async def _read(exchange: Exchange) -> bytes:
    """Return the next bytes of the body; a client that stalls has gone."""
    try:
        async with asyncio.timeout(STALL):
            return await exchange.read()
    except TimeoutError:
        raise ClientGone("the client has sent nothing for too long") from None


def _created(call: Call, digest: Digest, size: int) -> Reply:
    headers = [
        ("Location", f"{call.root}/v2/{call.name}/blobs/{digest}"),
        ("Docker-Content-Digest", digest),
    ]
    if size:
        headers.append(("Content-Range", f"0-{size - 1}"))
    return Reply(HTTPStatus.CREATED, headers)


def _progress(call: Call, upload: Upload) -> list[tuple[str, str]]:
    return [
        ("Location", f"{call.root}/v2/{call.name}/blobs/uploads/{upload.id}"),
        ("Range", f"0-{max(0, upload.size - 1)}"),
        ("Docker-Upload-UUID", upload.id),
    ]
