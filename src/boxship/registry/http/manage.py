"""Removing: tags, manifests and blobs."""

from __future__ import annotations

from http import HTTPStatus

from boxship.registry.errors import Unsupported
from boxship.registry.events import Event, Target
from boxship.registry.http.call import Call, Reply
from boxship.registry.names import Digest, Tag, reference
from boxship.registry.service import Service

BYTES = "application/octet-stream"


async def delete_manifest(call: Call, service: Service) -> Reply:
    """DELETE: a tag alone, or a manifest with all its tags."""
    _check_allowed(service)
    wanted = reference(call.target.item)
    if isinstance(wanted, Tag):
        digest = await service.work(service.manifests.untag, call.name, wanted)
        told = Target("", digest, 0, call.name, tag=wanted)
    else:
        await service.work(service.manifests.remove, call.name, wanted)
        told = Target("", wanted, 0, call.name)
    service.events.tell(Event("delete", told, call.source))
    return Reply(HTTPStatus.ACCEPTED)


async def delete_blob(call: Call, service: Service) -> Reply:
    """DELETE: take a blob from this repository; its bytes go when nothing needs them."""
    _check_allowed(service)
    digest = Digest.parse(call.target.item)
    await service.work(service.blobs.remove, call.name, digest)
    service.events.tell(Event("delete", Target(BYTES, digest, 0, call.name), call.source))
    return Reply(HTTPStatus.ACCEPTED)


def _check_allowed(service: Service) -> None:
    if not service.policy.delete:
        raise Unsupported("deleting is not enabled on this registry (storage.delete.enabled)")
