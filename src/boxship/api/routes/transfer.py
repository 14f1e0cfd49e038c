"""Images from engine to engine: the distribution protocol over the engine's own connection.

Only this engine has these routes. They are the parts of the protocol that a transfer needs, below
a prefix of their own; who may use the engine may use them, so there are no tokens. What a client
sends belongs to a transfer, which it names in a header, until the last manifest makes an image.

    HEAD, GET  /boxship/v2/<name>/manifests/<tag or digest>
    HEAD, GET  /boxship/v2/<name>/blobs/<digest>
    POST       /boxship/v2/<name>/blobs/uploads?digest=<digest>[&layer=1]
    PUT        /boxship/v2/<name>/manifests/<tag or digest>[?last=1]
    DELETE     /boxship/v2/transfers/<transfer>
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Final, TypeVar

from boxship.api import progress
from boxship.api.routing import Call, Reply, Stream, route
from boxship.content.errors import NoSuchBlob
from boxship.errors import InvalidRequest
from boxship.image.transfers import Transfer, Transfers
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor
from boxship.spec.reference import Reference

TRANSFER: Final = "boxship-transfer"
DIGEST: Final = "Docker-Content-Digest"
BINARY: Final = "application/octet-stream"
LONGEST: Final = 64
UNNAMED: Final = "boxship/unnamed"  # an image that is sent by its ID alone

T = TypeVar("T")


@route("GET", "/boxship/v2/{name...}/manifests/{reference}", since="1.44")
@route("HEAD", "/boxship/v2/{name...}/manifests/{reference}", since="1.44")
async def manifest(call: Call, transfers: Transfers) -> Reply:
    name, reference = call.path["name"], call.path["reference"]

    def found() -> tuple[Descriptor, bytes]:
        about = _named(transfers, name, reference)
        return about, transfers.blobs.read(about.digest)

    about, data = await asyncio.to_thread(found)
    headers = {"Content-Type": about.media_type, DIGEST: str(about.digest)}
    return Reply(HTTPStatus.OK, data, headers)


def _named(transfers: Transfers, name: str, reference: str) -> Descriptor:
    """Return what a tag or a digest points to."""
    if ":" not in reference:
        return transfers.images.get(f"{name}:{reference}").descriptor
    digest = Digest.parse(reference)
    data = transfers.blobs.read(digest)
    return Descriptor(media_type=oci.read_kind(data), digest=digest, size=len(data))


@route("HEAD", "/boxship/v2/{name...}/blobs/{digest}", since="1.44")
async def blob_size(call: Call, transfers: Transfers) -> Reply:
    """Say whether a blob is here; for a transfer, it then stays."""
    digest = Digest.parse(call.path["digest"])
    if TRANSFER in call.headers:
        size = await _with(call, transfers, lambda transfer: transfer.size(digest))
    else:
        size = transfers.blobs.size(digest)
    if size is None:
        raise NoSuchBlob(digest)
    return Reply(HTTPStatus.OK, None, {"Boxship-Size": str(size), DIGEST: str(digest)})


@route("GET", "/boxship/v2/{name...}/blobs/{digest}", since="1.44")
async def blob(call: Call, transfers: Transfers) -> Stream:
    digest = Digest.parse(call.path["digest"])
    size = transfers.blobs.size(digest)

    def leased() -> Iterator[bytes]:
        with transfers.blobs.lease() as lease:
            lease.hold(digest)
            yield from transfers.blobs.chunks(digest)

    headers = {"Boxship-Size": str(size), DIGEST: str(digest)}
    return Stream(HTTPStatus.OK, progress.drawn(leased()), BINARY, headers)


@route("POST", "/boxship/v2/{name...}/blobs/uploads", since="1.44", streams=True, finishes=False)
async def upload(call: Call, transfers: Transfers) -> Reply:
    """Take a blob whole, in one request."""
    digest = Digest.parse(call.query.text("digest"))
    is_layer = call.query.flag("layer")
    async with progress.body(call) as pieces:

        def take(transfer: Transfer) -> None:
            transfer.take(pieces, digest)
            if is_layer:
                transfer.guess(digest)

        await _with(call, transfers, take)
    return Reply(HTTPStatus.CREATED, None, {DIGEST: str(digest)})


@route("PUT", "/boxship/v2/{name...}/manifests/{reference}", since="1.44")
async def put_manifest(call: Call, transfers: Transfers) -> Reply:
    """Take a manifest or an index; the last of a transfer makes an image of it all."""
    repository, reference = call.path["name"], call.path["reference"]
    kind, last = call.headers.get("content-type", ""), call.query.flag("last")
    name = None
    if ":" not in reference and repository != UNNAMED:
        name = Reference.parse(repository).with_tag(reference)

    def take(transfer: Transfer) -> Descriptor:
        about = transfer.take_manifest(call.raw, kind)
        if ":" in reference and about.digest != Digest.parse(reference):
            raise InvalidRequest(f"the manifest has the digest {about.digest}, not {reference}")
        if last:
            image = transfer.finish(about, name)
            transfers.images.announce_load(image, name)
        return about

    about = await _with(call, transfers, take)
    if last:
        await asyncio.to_thread(transfers.end, _transfer(call))
    return Reply(HTTPStatus.CREATED, None, {DIGEST: str(about.digest)})


@route("DELETE", "/boxship/v2/transfers/{transfer}", since="1.44")
async def give_up(call: Call, transfers: Transfers) -> Reply:
    await asyncio.to_thread(transfers.end, call.path["transfer"])
    return Reply(HTTPStatus.NO_CONTENT)


async def _with(call: Call, transfers: Transfers, work: Callable[[Transfer], T]) -> T:
    """Do a piece of work for the transfer that a request belongs to."""
    name = _transfer(call)

    def perform() -> T:
        with transfers.use(name) as transfer:
            return work(transfer)

    return await asyncio.to_thread(perform)


def _transfer(call: Call) -> str:
    name = call.headers.get(TRANSFER, "")
    if not (0 < len(name) <= LONGEST and name.isalnum()):
        raise InvalidRequest(f"the {TRANSFER} header names no transfer")
    return name
