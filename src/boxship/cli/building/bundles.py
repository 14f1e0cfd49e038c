"""Records of builds as archives, as docker buildx exports them: OCI layouts, packed.

index.json           points to the manifest of a record, or to an index of several
blobs/sha256/<hex>   manifests, the records as JSON, and what belongs to them: traces, logs,
                     attestations, results, failures
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.building import recordtext
from boxship.cli.building.imported import INDEX, RECORD
from boxship.cli.building.platforms import local_platform
from boxship.cli.building.remembered import Past, Records, one_of
from boxship.errors import InvalidRequest, NotFound
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
REFERENCE: Final = "vnd.buildkit.history.reference"
KIND: Final = "vnd.export-build.descriptor.mediatype"


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


def export(shell: Shell, records: Records, refs: Sequence[str], given: Mapping[str, Any]) -> int:
    """Write the archive of the records named, the last one for none."""
    if given["all"] and refs:
        raise InvalidRequest("cannot specify refs when --all is set")
    chosen = records.every() if given["all"] else [one_of(records, ref) for ref in refs or [""]]
    if given["finalize"] and isinstance(records, Past):
        records.finalize(chosen)
        chosen = [one_of(records, one.ref) for one in chosen]
    target = given["output"]
    if not target and sys.stdout.isatty():
        raise InvalidRequest(
            "refusing to write to console, use --output to specify destination file"
        )
    data = archive(records, chosen)
    if target:
        with open(target, "wb") as file:
            file.write(data)
    else:
        shell.out.write_bytes(data)
    return 0


def archive(records: Records, chosen: Sequence[pb.HistoryRecord]) -> bytes:
    """Return the archive of records."""
    layout = Layout()
    manifests = [_manifest(layout, records, one) for one in chosen]
    if len(manifests) > 1:
        for one, manifest in zip(chosen, manifests, strict=True):
            manifest["annotations"] = {REFERENCE: one.ref}
        inner = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
        manifests = [layout.add(json.dumps(inner).encode(), INDEX)]
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}
    layout.files["index.json"] = json.dumps(index).encode()
    layout.files["oci-layout"] = b'{"imageLayoutVersion":"1.0.0"}'
    return _packed(layout.files)


def _manifest(layout: Layout, records: Records, one: pb.HistoryRecord) -> dict[str, Any]:
    """Add a record and what belongs to it; return what points to it."""
    config = layout.add(recordtext.written(one, local_platform()), RECORD)
    layers: dict[str, dict[str, Any]] = {}
    for each in _belonging(one):
        if each.digest not in layers:
            try:
                data = records.content(each.digest)
            except NotFound:
                if KIND in each.annotations:  # an image that has been removed since
                    continue
                raise
            layers[each.digest] = layout.add(data, each.media_type, **dict(each.annotations))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": list(layers.values()),
    }
    return layout.add(json.dumps(manifest).encode(), MANIFEST)


def _belonging(one: pb.HistoryRecord) -> Iterator[pb.Descriptor]:
    if one.HasField("trace"):
        yield one.trace
    if one.HasField("logs"):
        yield one.logs
    for result in (one.result, *(one.results[name] for name in sorted(one.results))):
        yield from result.attestations
        for _, each in sorted(result.results.items()):
            # As a document: what reads the archive must not look for the image's layers in it.
            noted = {**each.annotations, KIND: each.media_type}
            yield pb.Descriptor(
                media_type="application/json", digest=each.digest, size=each.size, annotations=noted
            )
    if one.HasField("external_error"):
        yield one.external_error


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
