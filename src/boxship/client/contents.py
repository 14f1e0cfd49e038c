"""Content stores that a client offers: folders in OCI layout, read and written by digest.

<folder>/oci-layout, index.json      what is in it, by tag
<folder>/blobs/sha256/<hex>          the blobs
<folder>/ingest/<random>             what is arriving
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import secrets
from collections.abc import Mapping
from typing import Any, Final

from boxship.errors import InvalidRequest, NotFound
from boxship.spec.buildkit import content_pb2 as pb
from boxship.transport.http2 import Stream
from boxship.wire.grpc import Code, Failed

CONTENT: Final = "/containerd.services.content.v1.Content/"
STORE: Final = "buildkit-attachable-store-id"
PIECE: Final = 256 << 10
DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
REF_NAME: Final = "org.opencontainers.image.ref.name"
INDEX_KIND: Final = "application/vnd.oci.image.index.v1+json"


class Layout:
    """One folder in OCI layout."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def path(self, digest: str) -> str:
        if not DIGEST.fullmatch(digest):
            raise InvalidRequest(f"invalid digest: {digest[:100]!r}")
        return os.path.join(self.folder, "blobs", "sha256", digest.partition(":")[2])

    def size(self, digest: str) -> int:
        try:
            return os.stat(self.path(digest)).st_size
        except FileNotFoundError:
            raise NotFound(f"content {digest}: not found") from None

    def entry(self, tag: str) -> dict[str, Any]:
        """Return the descriptor that `index.json` has for a tag; the only one has any."""
        listed = self._index().get("manifests") or []
        named = [one for one in listed if (one.get("annotations") or {}).get(REF_NAME) == tag]
        found = named[-1:] or (listed if len(listed) == 1 else [])
        if not found:
            raise NotFound(f"{self.folder} has no manifest of the tag {tag!r}")
        return dict(found[0])

    def point(self, tag: str, descriptor: Mapping[str, Any]) -> None:
        """Have `index.json` point to a descriptor under a tag, and no longer to another."""
        index = self._index()
        annotations = {**(descriptor.get("annotations") or {}), REF_NAME: tag}
        kept = [
            one
            for one in index.get("manifests") or []
            if (one.get("annotations") or {}).get(REF_NAME) != tag
        ]
        index["manifests"] = [*kept, {**descriptor, "annotations": annotations}]
        self._write("oci-layout", {"imageLayoutVersion": "1.0.0"})
        self._write("index.json", index)

    def _index(self) -> dict[str, Any]:
        try:
            with open(os.path.join(self.folder, "index.json"), "rb") as file:
                found = json.load(file)
        except FileNotFoundError:
            return {"schemaVersion": 2, "mediaType": INDEX_KIND, "manifests": []}
        except ValueError:
            raise InvalidRequest(f"{self.folder}/index.json cannot be read") from None
        if not isinstance(found, dict):
            raise InvalidRequest(f"{self.folder}/index.json is no index")
        return found

    def _write(self, name: str, document: object) -> None:
        path = os.path.join(self.folder, name)
        beside = f"{path}.{secrets.token_hex(4)}"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(document, file)
        os.replace(beside, path)


class Contents:
    """The stores of one client, by name."""

    def __init__(self, folders: Mapping[str, str]) -> None:
        self._stores = {name: Layout(folder) for name, folder in folders.items()}
        self.calls = {
            f"{CONTENT}Info": self._info,
            f"{CONTENT}Read": self._read,
            f"{CONTENT}Write": self._write,
        }

    def _store(self, stream: Stream) -> Layout:
        name = next(iter(stream.metadata.get(STORE, ())), "")
        if name not in self._stores:
            raise NotFound(f"no content store {name!r} is offered")
        return self._stores[name]

    async def _info(self, stream: Stream) -> None:
        store = self._store(stream)
        digest = pb.InfoRequest.FromString(await stream.receive() or b"").digest
        answer = pb.InfoResponse(info=pb.Info(digest=digest, size=store.size(digest)))
        await stream.send(answer.SerializeToString())

    async def _read(self, stream: Stream) -> None:
        store = self._store(stream)
        asked = pb.ReadRequest.FromString(await stream.receive() or b"")
        size = store.size(asked.digest)
        at, end = asked.offset, asked.offset + asked.size if asked.size else size
        with contextlib.ExitStack() as undo:
            file = undo.enter_context(await asyncio.to_thread(open, store.path(asked.digest), "rb"))
            file.seek(at)
            while at < min(end, size):
                data = await asyncio.to_thread(file.read, min(PIECE, end - at))
                if not data:
                    break
                await stream.send(pb.ReadResponse(offset=at, data=data).SerializeToString())
                at += len(data)

    async def _write(self, stream: Stream) -> None:
        """Take a blob piece by piece, each answered; it appears when it is whole."""
        store = self._store(stream)
        folder = os.path.join(store.folder, "ingest")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, secrets.token_hex(12))
        sum_, written = hashlib.sha256(), 0
        try:
            with contextlib.ExitStack() as undo:
                file = undo.enter_context(await asyncio.to_thread(open, path, "xb"))
                while (message := await stream.receive()) is not None:
                    asked = pb.WriteRequest.FromString(message)
                    _check(store, asked, written)
                    await asyncio.to_thread(file.write, asked.data)
                    sum_.update(asked.data)
                    written += len(asked.data)
                    answer = pb.WriteResponse(
                        action=asked.action, offset=written, total=asked.total
                    )
                    if asked.action == pb.COMMIT:
                        file.flush()
                        answer.digest = "sha256:" + sum_.hexdigest()
                        _place(store, path, asked, answer.digest, written)
                    await stream.send(answer.SerializeToString())
                    if asked.action == pb.COMMIT:
                        return
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _check(store: Layout, asked: pb.WriteRequest, written: int) -> None:
    if asked.offset and asked.offset != written:
        raise Failed(Code.OUT_OF_RANGE, f"{asked.ref[:100]}: {written} bytes were written before")
    if asked.expected and os.path.exists(store.path(asked.expected)):
        raise Failed(Code.ALREADY_EXISTS, f"content {asked.expected}: already exists")


def _place(store: Layout, path: str, asked: pb.WriteRequest, digest: str, size: int) -> None:
    if (asked.total and asked.total != size) or (asked.expected and asked.expected != digest):
        raise InvalidRequest(f"content is {digest} of {size} bytes, not what was announced")
    target = store.path(digest)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.chmod(path, 0o444)
    os.rename(path, target)
