"""What tests ask of a registry that misbehaves: one blob, one manifest, with one log-in."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from boxship.distribution.auth import Credentials
from boxship.distribution.client import Registry, Sent
from boxship.spec.digest import Digest
from tests.support.images import sha256

DATA = bytes(range(256)) * 4096  # 1 MiB
DIGEST = Digest.of(DATA)
USER = Credentials("user", "secret")
BASIC = "Basic " + base64.b64encode(b"user:secret").decode()
OCI = "application/vnd.oci.image."
GOOD = {
    "schemaVersion": 2,
    "mediaType": OCI + "manifest.v1+json",
    "config": {"mediaType": OCI + "config.v1+json", "digest": sha256(b""), "size": 0},
    "layers": [],
}


def blob(size: int = len(DATA)) -> Callable[[Registry], Awaitable[bytes]]:
    async def work(asked: Registry) -> bytes:
        return b"".join([piece async for piece in asked.read_blob("a/b", DIGEST, size)])

    return work


def resolve(reference: str = "1") -> Callable[[Registry], Awaitable[Any]]:
    return lambda asked: asked.resolve("a/b", reference)


async def upload(asked: Registry) -> Sent:
    async def content(start: int, end: int) -> Any:
        for at in range(start, end, 1 << 18):
            yield DATA[at : min(end, at + (1 << 18))]

    return await asked.upload_blob("p/q", DIGEST, len(DATA), content, mount_from="a/b")
