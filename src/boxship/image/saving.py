"""Images as one tar: an OCI layout that is also what `docker load` of any age reads.

blobs/sha256/<digest>   manifests, configurations and layers, in the order of their digests
index.json              the images, each with its names
manifest.json           the same, as Docker has always listed them
oci-layout
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from boxship.content.store import Blobs
from boxship.image import record
from boxship.image.catalog import Catalog
from boxship.image.errors import NoSuchImage
from boxship.image.record import Image
from boxship.lib import filepart, strictjson
from boxship.lib.filepart import FilePart
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, Index
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference
from boxship.wire import tarwriter
from boxship.wire.tar import Entry


def choose(catalog: Catalog, refs: Sequence[str]) -> list[tuple[Image, tuple[str, ...]]]:
    """Return the images that the words mean, each once, with the names to save them under."""
    chosen: dict[Digest, tuple[Image, list[str]]] = {}
    for ref in refs:
        for image, name in _meant(catalog, ref):
            names = chosen.setdefault(image.id, (image, []))[1]
            if name and name not in names:
                names.append(name)
    return [(image, tuple(names)) for image, names in chosen.values()]


def _meant(catalog: Catalog, ref: str) -> list[tuple[Image, str]]:
    """Return what one word means: a repository alone means all its tags."""
    image: Image | None = None
    name: Reference | None = None
    try:
        image, name = catalog.find(ref)
    except NoSuchImage:
        if ":" in ref.rpartition("/")[2]:
            raise
    if image is not None and name is None:
        return [(image, "")]
    asked = Reference.parse(ref)
    if image is not None and (asked.tag or asked.digest):
        return [(image, str(asked) if asked.tag else "")]
    found = [
        (each, known)
        for each in catalog.all()
        for known in each.names
        if Reference.parse(known).repository == asked.repository
    ]
    if not found:
        raise NoSuchImage(asked.with_default_tag().familiar)
    return found


def content(image: Image, platforms: Sequence[Platform]) -> Iterator[Digest]:
    """Yield what belongs to an image, or to what it has for some platforms."""
    variants = image.variants
    if platforms:
        chosen = {record.choose(image, p, image.id).variant.descriptor.digest for p in platforms}
        variants = tuple(
            v for v in variants if v.descriptor.digest in chosen or v.attestation_of in chosen
        )
    for descriptor in (*image.indexes, *(d for v in variants for d in v.content)):
        yield descriptor.digest


def archive(
    blobs: Blobs,
    images: Sequence[tuple[Image, tuple[str, ...]]],
    content: set[Digest],
    platforms: Sequence[Platform] = (),
) -> Iterator[bytes]:
    """Yield the archive of images with the names given, and of the content that goes with them.

    What several images share is in it once.
    """
    return filepart.read(parts(blobs, images, content, platforms))


def parts(
    blobs: Blobs,
    images: Sequence[tuple[Image, tuple[str, ...]]],
    content: set[Digest],
    platforms: Sequence[Platform] = (),
) -> Iterator[bytes | FilePart]:
    """Yield the same, blobs as parts of files; each is closed when the next is asked for."""
    yield tarwriter.folder("blobs")
    yield tarwriter.folder("blobs/sha256")
    for digest in sorted(content):
        size = blobs.size(digest)
        entry = Entry(f"blobs/sha256/{digest.hex}".encode(), size=size)
        yield tarwriter.header(entry)
        file = blobs.open(digest)
        try:
            yield FilePart(file, size)
        finally:
            os.close(file)
        yield tarwriter.padding(size)
    yield tarwriter.file("index.json", strictjson.encode(_index(images)))
    yield tarwriter.file("manifest.json", strictjson.encode(_manifests(images, platforms)))
    yield tarwriter.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield tarwriter.END


def _index(images: Sequence[tuple[Image, tuple[str, ...]]]) -> Index:
    entries: list[Descriptor] = []
    for image, names in images:
        about = image.descriptor
        for name in names or ("",):
            annotations = (
                {
                    oci.IMAGE_NAME: name,
                    oci.REF_NAME: Reference.parse(name).tag or "",
                }
                if name
                else None
            )
            entries.append(
                Descriptor(
                    media_type=about.media_type,
                    digest=about.digest,
                    size=about.size,
                    annotations=annotations,
                )
            )
    return Index(schema_version=2, media_type=oci.OCI_INDEX, manifests=entries)


def _manifests(
    images: Sequence[tuple[Image, tuple[str, ...]]], platforms: Sequence[Platform]
) -> list[dict[str, object]]:
    """List an image of each; of those asked for by platform, the first one that was asked for."""
    found: list[dict[str, object]] = []
    for whole, names in images:
        image = record.choose(whole, platforms[0], whole.id) if platforms else whole
        if image.variant.manifest is None:
            continue
        found.append(
            {
                "Config": _path(image.variant.manifest.config),
                "RepoTags": [Reference.parse(name).familiar for name in names] or None,
                "Layers": [_path(layer) for layer in image.variant.manifest.layers],
            }
        )
    return found


def _path(descriptor: Descriptor) -> str:
    return f"blobs/sha256/{descriptor.digest.hex}"
