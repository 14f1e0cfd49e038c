"""Records of builds as archives: OCI layouts, packed, as docker buildx exports them.

index.json           points to one manifest for each record
blobs/sha256/<hex>   manifests, the records themselves, their logs and attestations
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.json_format import MessageToDict

from boxship.cli.building.past import attachments_of
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.building.past import Past
    from boxship.cli.shell import Shell

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
RECORD: Final = "application/vnd.buildkit.historyrecord.v0"


class Layout:
    """Blobs by digest, as they are gathered."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def add(self, data: bytes, media_type: str, **more: str) -> dict[str, Any]:
        """Take a blob; return its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        self.files[f"blobs/sha256/{digest}"] = data
        found = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
        return {**found, **({"annotations": more} if more else {})}


def export(shell: Shell, past: Past, refs: Sequence[str], given: Mapping[str, Any]) -> int:
    """Write the archive of the records named, the last one for none."""
    if given["all"] and refs:
        raise InvalidRequest("cannot specify refs when --all is set")
    chosen = past.every() if given["all"] else [past.one(ref) for ref in refs or [""]]
    if given["finalize"]:
        _finalize(past, chosen)
        chosen = [past.one(one.ref) for one in chosen]
    target = given["output"]
    if not target and sys.stdout.isatty():
        raise InvalidRequest(
            "refusing to write to console, use --output to specify destination file"
        )
    data = archive(past, chosen)
    if target:
        with open(target, "wb") as file:
            file.write(data)
    else:
        shell.out.write_bytes(data)
    return 0


def _finalize(past: Past, chosen: Sequence[pb.HistoryRecord]) -> None:
    async def finalize(builds: Any) -> None:
        for one in chosen:
            await builds.update_history(pb.HistoryUpdateRequest(ref=one.ref, finalize=True))

    past.ask(finalize)


def archive(past: Past, chosen: Sequence[pb.HistoryRecord]) -> bytes:
    """Return the archive of records."""
    layout = Layout()
    manifests: list[dict[str, Any]] = []
    for one in chosen:
        said = json.dumps(MessageToDict(one), sort_keys=True).encode()
        config = layout.add(said, RECORD)
        layers = [
            layout.add(past.content(each.digest), each.media_type, **dict(each.annotations))
            for each in [
                *([one.logs] if one.logs.digest else ()),
                *(each for _, each in attachments_of(one)),
            ]
        ]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": RECORD,
            "config": config,
            "layers": layers,
        }
        manifests.append(layout.add(json.dumps(manifest).encode(), MANIFEST, ref=one.ref))
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    layout.files["index.json"] = json.dumps(index).encode()
    layout.files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    return _packed(layout.files)


def _packed(files: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w") as tar,
    ):
        for name, data in sorted(files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()
