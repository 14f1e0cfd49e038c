"""Discovering: what repositories, tags and referrers there are."""

from __future__ import annotations

import bisect
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from boxship.lib import strictjson
from boxship.registry.errors import PaginationInvalid
from boxship.registry.http.call import Call, Reply, reply_json
from boxship.registry.manifests import Stored, repositories
from boxship.registry.names import Digest
from boxship.registry.service import Service
from boxship.spec.oci.image import OCI_INDEX

Headers = list[tuple[str, str]]
REFERRERS: Final = 500  # in one page


async def base(call: Call, service: Service) -> Reply:
    """GET /v2/: this is a registry, and who asks may ask it."""
    return Reply(HTTPStatus.OK, [("Content-Type", "application/json")], b"{}")


async def catalog(call: Call, service: Service) -> Reply:
    """GET: the repositories that who asks may see, by pages."""
    most = service.policy.most_names
    count = _count(call, most)
    last = call.target.one("last")
    names = await service.work(_all_names, service)
    start = bisect.bisect_right(names, last) if last else 0
    page: list[str] = []
    more = False
    for name in names[start:]:
        if not call.identity.sees(name):
            continue
        if len(page) == count:
            more = count > 0
            break
        page.append(name)
    query = urlencode({"last": page[-1] if page else "", "n": count})
    headers = _next(call, f"/v2/_catalog?{query}", more and page)
    return reply_json({"repositories": page}, headers)


async def tags(call: Call, service: Service) -> Reply:
    """GET: a repository's tags, by pages when that is asked for."""
    most = service.policy.most_tags
    limited = bool(most or call.target.one("n"))
    count = _count(call, most or 10_000) if limited else 1 << 60
    last = call.target.one("last")
    found = await service.find_tags(call.name)
    start = bisect.bisect_right(found, last) if last else 0
    page = found[start : start + count]
    more = count > 0 and start + count < len(found)
    query = urlencode({"last": page[-1] if page else "", "n": count})
    headers = _next(call, f"/v2/{call.name}/tags/list?{query}", more)
    return reply_json({"name": call.name, "tags": page}, headers)


async def referrers(call: Call, service: Service) -> Reply:
    """GET: what has a manifest as its subject, perhaps of one artifact type only."""
    subject = Digest.parse(call.target.item)
    wanted = call.target.one("artifactType")
    listed = await _listed(call, service, subject, wanted)
    last = call.target.one("last")
    after = [one for one in listed if one["digest"] > last]
    page = after[:REFERRERS]
    headers: Headers = [("Content-Type", OCI_INDEX)]
    if wanted:
        headers.append(("OCI-Filters-Applied", "artifactType"))
    if len(after) > len(page):
        query = {"last": page[-1]["digest"], **({"artifactType": wanted} if wanted else {})}
        path = f"/v2/{call.name}/referrers/{subject}?{urlencode(query)}"
        headers += _next(call, path, True)
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": page,
    }
    reply = reply_json(document)
    return Reply(HTTPStatus.OK, headers, reply.body)


async def _listed(
    call: Call, service: Service, subject: Digest, wanted: str
) -> list[dict[str, Any]]:
    """Return the referrers that are asked for, by digest; those there where we pull through."""
    upstream = service.upstream_of(call.name)
    if service.through is not None and upstream is not None:
        there = await service.through.referrers(upstream, call.name, subject, wanted)
        if there is not None:
            listed = [msgspec.json.decode(strictjson.encode(one)) for one in there]
            return sorted(listed, key=lambda one: str(one["digest"]))
    found = await service.work(service.manifests.referrers, call.name, subject)
    kept = [one for one in found if not wanted or one.manifest.artifact_type == wanted]
    return [_descriptor(one) for one in sorted(kept, key=lambda one: one.digest)]


def _descriptor(stored: Stored) -> dict[str, Any]:
    found: dict[str, Any] = {
        "mediaType": stored.media_type,
        "digest": stored.digest,
        "size": len(stored.data),
    }
    if stored.manifest.artifact_type:
        found["artifactType"] = stored.manifest.artifact_type
    if stored.manifest.document.annotations:
        found["annotations"] = stored.manifest.document.annotations
    return found


def _all_names(service: Service) -> list[str]:
    return sorted(repositories(service.storage))


def _count(call: Call, most: int) -> int:
    """Return how many are asked for, bounded; PaginationInvalid when that is no number."""
    text = call.target.one("n")
    if not text:
        return most
    if not (text.isascii() and text.isdigit()) or len(text) > 20:
        raise PaginationInvalid(text)
    return min(int(text), most)


def _next(call: Call, path: str, more: object) -> Headers:
    return [("Link", f'<{call.root}{path}>; rel="next"')] if more else []
