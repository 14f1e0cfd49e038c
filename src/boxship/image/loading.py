"""Image archives: from `docker save` of any age, and OCI layouts in a tar.

Everything in the archive goes into the content store first, checked where its name is its
digest; then the documents are read that say what of it is an image. Layers are unpacked while
the archive is still arriving, on the guess that what looks like a layer is one; a wrong guess is
thrown away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from msgspec import Struct
from msgspec import field as member

from boxship.content.ingest import Ingest
from boxship.content.store import Blobs, Lease
from boxship.image import record
from boxship.image.errors import InvalidImageArchive
from boxship.image.record import Image, Variant
from boxship.lib import compression, strictjson
from boxship.lib.compression import Compression
from boxship.snapshot.driver import ChainId
from boxship.snapshot.extract import clean
from boxship.snapshot.snapshots import Snapshots, Unpacked
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, ImageConfig, Index, Manifest
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference
from boxship.wire import tar

BLOBS: Final = "blobs/sha256/"
ENTRIES: Final = 100_000
DOCUMENTS: Final = frozenset({"oci-layout", "repositories"})  # besides those called `.json`
USTAR: Final = 257
GUESSES: Final = 64  # layers unpacked ahead of the documents that name them
MEDIA_TYPES: Final = {
    Compression.NONE: oci.DOCKER_LAYER,
    Compression.GZIP: oci.DOCKER_LAYER_GZIP,
    Compression.ZSTD: oci.OCI_LAYER_ZSTD,
}


class Saved(Struct, kw_only=True):
    """One image in `manifest.json`."""

    config: str = member(name="Config")
    repo_tags: list[str] | None = member(default=None, name="RepoTags")
    layers: list[str] = member(name="Layers")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one layer is."""

    id: str
    status: str
    current: int = 0
    total: int = 0


def done(layer: Descriptor) -> Progress:
    """Say that a layer is in place."""
    return Progress(layer.digest.short, "Loading layer", layer.size, layer.size)


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that has been loaded: its name, or its ID where it has none."""

    name: str
    id: Digest


Report = Callable[[Progress | Loaded], None]


@dataclass(frozen=True, slots=True)
class Found:
    """An image that an archive holds, and what it is to be called."""

    image: Image
    names: tuple[str, ...]


@dataclass(slots=True)
class Contents:
    """What an archive turned out to hold: files by name, and links between names."""

    files: dict[str, Digest] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Digest | None:
        """Return what is at `name`, through links of the archive."""
        for _ in range(8):
            if name not in self.links:
                return self.files.get(name)
            name = self.links[name]
        return None


class Layers:
    """Unpacks layers, ahead of time or when asked, and commits those that an image has."""

    def __init__(self, blobs: Blobs, snapshots: Snapshots) -> None:
        self._blobs = blobs
        self._snapshots = snapshots
        self._workers = ThreadPoolExecutor(2, "unpack")
        self._ahead: dict[Digest, Future[Unpacked]] = {}
        self._nameless: list[Future[Unpacked]] = []

    def follow(self, ingest: Ingest, kind: Compression) -> Future[Unpacked] | None:
        """Begin to unpack what may be a layer while it arrives; `call` it once it has a digest."""
        if not self._snapshots.independent or len(self._ahead) >= GUESSES:
            return None
        arriving = ingest.follow()

        def work() -> Unpacked:
            # what is not packed has its own digest as diff ID, and is hashed already
            return self._snapshots.unpack(arriving, hashed=kind is not Compression.NONE)

        started = self._workers.submit(work)
        started.add_done_callback(lambda _: arriving.close())
        self._nameless.append(started)
        return started

    def call(self, started: Future[Unpacked], digest: Digest) -> None:
        """Note that what is being unpacked is the blob `digest`."""
        if digest not in self._ahead:
            self._nameless.remove(started)
            self._ahead[digest] = started

    def guess(self, digest: Digest) -> None:
        """Begin to unpack what may be a layer."""
        if self._snapshots.independent and len(self._ahead) < GUESSES and digest not in self._ahead:
            self._ahead[digest] = self._workers.submit(self._unpack, digest, None)

    def _unpack(self, digest: Digest, parent: ChainId | None) -> Unpacked:
        return self._snapshots.unpack(self._blobs.chunks(digest), parent, digest)

    def commit(self, variant: Variant, done: Callable[[Descriptor], None]) -> None:
        """Have an image's layers unpacked."""
        assert variant.manifest is not None
        parent: ChainId | None = None
        both = zip(variant.chains, variant.diff_ids, variant.manifest.layers, strict=True)
        for chain, diff_id, layer in both:
            if not self._snapshots.has_layer(chain):
                if self._blobs.size(layer.digest) != layer.size:
                    raise InvalidImageArchive(f"{layer.digest} has not the size announced")
                ahead = self._ahead.pop(layer.digest, None)
                unpacked = ahead.result() if ahead else self._unpack(layer.digest, parent)
                if unpacked.diff_id is None:  # of one that was followed, and is not packed
                    unpacked.diff_id = layer.digest
                self._snapshots.commit(unpacked, parent, diff_id)
            done(layer)
            parent = chain

    def close(self) -> None:
        """Throw away what nobody wanted."""
        self._workers.shutdown(cancel_futures=True)
        for future in (*self._ahead.values(), *self._nameless):
            with suppress(BaseException):
                self._snapshots.discard(future.result())


def take(pieces: Iterable[bytes], blobs: Blobs, lease: Lease, layers: Layers) -> Contents:
    """Put all that an archive holds into the content store."""
    contents = Contents()
    reader = tar.Reader(compression.decompress(pieces))
    for count, entry in enumerate(reader):
        if count >= ENTRIES:
            raise InvalidImageArchive(f"the archive has more than {ENTRIES} entries")
        name = clean(entry.name).decode("utf-8", "replace")
        if entry.type == tar.FILE:
            if entry.holes is not None:
                raise InvalidImageArchive("the archive has files with holes")
            if is_document(name) and entry.size > strictjson.SIZE:
                raise InvalidImageArchive(
                    f"{name[:200]!r} is larger than the {strictjson.SIZE} bytes a document may have"
                )
            digest = _ingest(name, reader, blobs, lease, layers)
            if contents.files.setdefault(name, digest) != digest or name in contents.links:
                raise InvalidImageArchive(f"the archive has {name[:200]!r} twice")
        elif entry.type in (tar.SYMLINK, tar.HARD_LINK):
            if name in contents.files:
                raise InvalidImageArchive(f"the archive has {name[:200]!r} twice")
            base = name.rpartition("/")[0] if entry.type == tar.SYMLINK else ""
            target = b"/".join((base.encode(), entry.link))
            contents.links[name] = clean(target).decode("utf-8", "replace")
    reader.stream.drain()
    return contents


def is_document(name: str) -> bool:
    """Whether a file is one by its name, so that its size can be judged before it is stored."""
    return not name.startswith(BLOBS) and (name.endswith(".json") or name in DOCUMENTS)


def _ingest(name: str, reader: tar.Reader, blobs: Blobs, lease: Lease, layers: Layers) -> Digest:
    """Take in one file; where its name is a digest, it must be that."""
    expected = Digest.from_hex(name[len(BLOBS) :]) if name.startswith(BLOBS) else None
    known = expected is not None and blobs.has(expected)
    start = b""
    unpacking: Future[Unpacked] | None = None
    with blobs.arriving() as ingest:
        for part in reader.content():
            ingest.write(part)
            if len(start) < tar.BLOCK:
                start += bytes(part[: tar.BLOCK])
                if len(start) >= tar.BLOCK and not known and _is_layer(start):
                    unpacking = layers.follow(ingest, compression.detect(start))
        digest = blobs.commit(ingest, lease, expected=expected)
    if unpacking is not None:
        layers.call(unpacking, digest)
    elif not known and _is_layer(start):
        layers.guess(digest)
    return digest


def _is_layer(start: bytes) -> bool:
    """Whether a file that begins like this may be a layer."""
    packed = compression.detect(start) is not Compression.NONE
    return packed or start[USTAR : USTAR + 5] == b"ustar"


def images(
    contents: Contents, blobs: Blobs, lease: Lease, host: Platform, wanted: list[Platform]
) -> list[Found]:
    """Read the documents of an archive that has been taken in."""
    index = contents.find("index.json")
    if index is not None and contents.find("oci-layout") is not None:
        found = _layout(blobs, index, host)
    elif (manifest := contents.find("manifest.json")) is not None:
        found = _docker(contents, blobs, lease, manifest, host)
    else:
        raise InvalidImageArchive("invalid archive: does not contain a manifest.json")
    if not found:
        raise InvalidImageArchive("invalid archive: it holds no images")
    for platform in wanted:
        for image in found:
            record.choose(image.image, platform, next(iter(image.names), image.image.id))
    return found


def _layout(blobs: Blobs, index: Digest, host: Platform) -> list[Found]:
    """Read an OCI layout: each target once, with all the names its entries give it."""
    data = blobs.read(index)
    oci.read_kind(data, oci.OCI_INDEX)
    named: dict[Digest, tuple[Descriptor, list[str]]] = {}
    for descriptor in strictjson.decode(data, Index, "index.json").manifests:
        plain = Descriptor(
            media_type=descriptor.media_type, digest=descriptor.digest, size=descriptor.size
        )
        known = named.setdefault(descriptor.digest, (plain, []))
        if known[0] != plain:
            raise InvalidImageArchive(f"index.json describes {descriptor.digest} in two ways")
        if name := _name(descriptor.annotations or {}):
            known[1].append(name)
    return [
        Found(record.read(blobs, descriptor, host), tuple(names))
        for descriptor, names in named.values()
    ]


def _name(annotations: dict[str, str]) -> str:
    """Return the canonical name that an index entry carries, if it is one."""
    text = annotations.get(oci.IMAGE_NAME) or annotations.get(oci.REF_NAME, "")
    if not text or (oci.IMAGE_NAME not in annotations and not {":", "/"} & set(text)):
        return ""  # a bare tag names no repository
    return str(Reference.parse(text).without_digest().with_default_tag())


def _docker(
    contents: Contents, blobs: Blobs, lease: Lease, manifest: Digest, host: Platform
) -> list[Found]:
    """Read `manifest.json`, and write the manifests that such an archive lacks."""
    data = blobs.read(manifest)
    found = []
    for saved in strictjson.decode(data, list[Saved], "manifest.json"):
        config = _file(contents, saved.config)
        read = strictjson.decode(blobs.read(config), ImageConfig, "image configuration")
        if len(read.rootfs.diff_ids) != len(saved.layers):
            raise InvalidImageArchive(
                f"invalid manifest, layers length mismatch: expected "
                f"{len(read.rootfs.diff_ids)}, got {len(saved.layers)}"
            )
        document = strictjson.encode(
            Manifest(
                schema_version=2,
                media_type=oci.DOCKER_MANIFEST,
                config=describe(blobs, config, oci.DOCKER_CONFIG),
                layers=[_layer(blobs, _file(contents, layer)) for layer in saved.layers],
            )
        )
        target = blobs.put(document, lease)
        names = tuple(
            str(Reference.parse(tag).without_digest().with_default_tag())
            for tag in saved.repo_tags or ()
        )
        descriptor = describe(blobs, target, oci.DOCKER_MANIFEST)
        found.append(Found(record.read(blobs, descriptor, host), names))
    return found


def _file(contents: Contents, name: str) -> Digest:
    path = clean(name.encode()).decode("utf-8", "replace")
    if (digest := contents.find(path)) is None:
        raise InvalidImageArchive(f"invalid archive: {name[:200]!r} is missing")
    return digest


def _layer(blobs: Blobs, digest: Digest) -> Descriptor:
    start = next(blobs.chunks(digest), b"")
    kind = compression.detect(start)
    if kind not in MEDIA_TYPES:
        raise InvalidImageArchive(f"a layer is packed with {kind}, which images do not use")
    return describe(blobs, digest, MEDIA_TYPES[kind])


def describe(blobs: Blobs, digest: Digest, media_type: str) -> Descriptor:
    """Return what points to a blob."""
    return Descriptor(media_type=media_type, digest=digest, size=blobs.size(digest))
