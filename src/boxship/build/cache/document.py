"""A cache that travels, as BuildKit writes it: which steps are done, and their results' layers.

    manifest or index ── configuration (this document) and layers, as blobs of their own
        layers    each blob with the layer that it stands on
        records   each a step: its digest, the records that lead to it, the layer it ends with

A record is called by the identity of a step. One that is reached by a key of another digest has
that as a record without a result, and a link to it. Results other than the first have records of
their own. A BuildKit reads the document; its own steps have other digests, so that neither finds
the other's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from boxship.lib import moments, strictjson
from boxship.spec.digest import SHA256, Digest, chain
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, Index, Manifest

CONFIG: Final = "application/vnd.buildkit.cacheconfig.v0"
NO_PARENT: Final = -1
MOST: Final = 100_000  # records, and layers
LIMIT: Final = 16 << 20
DEEPEST: Final = 512
MOST_TOGETHER: Final = 200_000  # layers of all results; a document that has more is not honest
LAYER_KINDS: Final = frozenset(
    {
        *(oci.OCI_LAYER, oci.OCI_LAYER_GZIP, oci.OCI_LAYER_ZSTD),
        *(oci.DOCKER_LAYER, oci.DOCKER_LAYER_GZIP),
    }
)


class About(msgspec.Struct, kw_only=True, omit_defaults=True, rename="camel"):
    """What a blob is."""

    media_type: str = ""
    diff_id: str = msgspec.field(default="", name="diffID")
    size: int = 0
    created_at: str = ""


class LayerEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A blob, and the number of the layer below."""

    blob: str
    parent: int = 0
    annotations: About | None = None


class Result(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The number of the layer that a step's result ends with."""

    layer: int = 0
    created_at: str = msgspec.field(default="", name="createdAt")


class Link(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The number of a record that leads to this one."""

    selector: str = ""
    link: int


class Record(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A step."""

    layers: list[Result] = []
    digest: str
    inputs: list[list[Link]] = []


class Config(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The document."""

    layers: list[LayerEntry] = []
    records: list[Record] = []


@dataclass(frozen=True, slots=True)
class Step:
    """A step that is done: how it is found, and its results' stacks of layers, as far as known.

    A result is named by its uppermost layer.
    """

    key: str
    identity: str
    outputs: Mapping[int, Digest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Travelling:
    """A layer as a cache has it."""

    descriptor: Descriptor
    diff_id: Digest
    created: int = 0

    @property
    def plain(self) -> bool:
        """Whether it is not packed."""
        return self.descriptor.digest == self.diff_id


@dataclass(slots=True)
class Known:
    """What a cache says: identities by key, and results by the name of their record.

    steps: the identities that were worked out there, of whose results it need not have any.
    """

    steps: set[str] = field(default_factory=set)
    identities: dict[str, str] = field(default_factory=dict)
    results: dict[str, tuple[Travelling, ...]] = field(default_factory=dict)


def name(identity: str, output: int) -> str:
    """Return what the record of a result is called, as hex digits."""
    return Digest.of(f"{identity}@{output}".encode()).hex if output else identity


# Writing


def write(steps: Iterable[Step], stacks: Mapping[Digest, Sequence[Travelling]]) -> Config:
    """Return the document of some steps; `stacks` has the layers of each result, bottom first."""
    document = Config()
    numbers: dict[Digest, int] = {}
    records: dict[str, int] = {}
    for step in steps:
        for output in sorted({0, *step.outputs}):
            if len(document.records) >= MOST:
                return document
            called = name(step.identity, output)
            if called in records:
                continue
            results: list[Result] = []
            top = step.outputs.get(output)
            if top is not None and (stack := stacks.get(top)):
                number = _add(document, numbers, stack)
                results = [Result(layer=number, created_at=_moment(stack[-1].created))]
            add(document.records, records, called, called if output else step.key, results)
    return document


def add(
    records: list[Record], known: dict[str, int], called: str, key: str, results: list[Result]
) -> None:
    """Add a step's record, and that of the key that leads to it; `known` has their numbers."""
    record = Record(digest=f"sha256:{called}", layers=results)
    if key != called:
        if key not in known:
            known[key] = len(records)
            records.append(Record(digest=f"sha256:{key}"))
        record.inputs = [[Link(link=known[key])]]
    known[called] = len(records)
    records.append(record)


def _add(document: Config, numbers: dict[Digest, int], stack: Sequence[Travelling]) -> int:
    """Add a stack's layers; return the number of the uppermost."""
    below: Digest | None = None
    number = NO_PARENT
    for layer in stack:
        below = chain(below, layer.diff_id)
        if below not in numbers:
            about = About(
                media_type=layer.descriptor.media_type,
                diff_id=layer.diff_id,
                size=layer.descriptor.size,
                created_at=_moment(layer.created),
            )
            entry = LayerEntry(blob=layer.descriptor.digest, parent=number, annotations=about)
            numbers[below] = len(document.layers)
            document.layers.append(entry)
        number = numbers[below]
    return number


def _moment(created: int) -> str:
    return moments.show(created) if created else ""


def manifest(config: Descriptor, layers: Sequence[Descriptor]) -> Manifest:
    """Return the manifest of a cache: an image as registries see it."""
    return Manifest(
        schema_version=2, media_type=oci.OCI_MANIFEST, config=config, layers=list(layers)
    )


def index(config: Descriptor, layers: Sequence[Descriptor], *, docker: bool) -> Index:
    """Return the list of a cache's blobs that older BuildKits write."""
    kind = oci.DOCKER_INDEX if docker else oci.OCI_INDEX
    return Index(schema_version=2, media_type=kind, manifests=[*layers, config])


# Reading


def parts(media_type: str, data: bytes) -> tuple[Descriptor, dict[str, Descriptor]] | None:
    """Return where a manifest or index says that the document is, and its blobs by digest.

    None where it is of no cache.
    """
    if media_type in oci.INDEXES:
        listed = strictjson.decode(data, Index, "cache index").manifests
        config = next((one for one in listed if one.media_type == CONFIG), None)
    else:
        said = strictjson.decode(data, Manifest, "cache manifest")
        listed, config = said.layers, said.config
        config = config if config.media_type == CONFIG else None
    if config is None:
        return None
    return config, {one.digest: one for one in listed}


def read(data: bytes, blobs: Mapping[str, Descriptor]) -> Known:
    """Read a document; what makes no sense in it is passed over."""
    document = strictjson.decode(data, Config, "cache configuration", limit=LIMIT)
    known = Known()
    stacks: dict[int, tuple[Travelling, ...] | None] = {}
    room = MOST_TOGETHER
    records = document.records[:MOST]
    for record in records:
        if (name := called(record)) is None:
            continue
        known.steps.add(name)
        for result in record.layers[:1] if room > 0 else ():
            if result.layer not in stacks:
                stacks[result.layer], looked = _stack(document.layers, result.layer, blobs)
                room -= looked
            if stack := stacks[result.layer]:
                known.results[name] = stack
        for key in leading(records, record):
            known.identities[key] = name
    return known


def called(record: Record) -> str | None:
    """Return what a record is called, as hex digits; None where that is no digest."""
    return Digest(record.digest).hex if SHA256.fullmatch(record.digest) else None


def leading(records: Sequence[Record], record: Record) -> Iterator[str]:
    """Yield the keys that lead to a record; what makes no sense is passed over."""
    for link in (link for links in record.inputs for link in links):
        if not link.selector and 0 <= link.link < len(records):
            key = called(records[link.link])
            if key is not None:
                yield key


def _stack(
    layers: Sequence[LayerEntry], number: int, blobs: Mapping[str, Descriptor]
) -> tuple[tuple[Travelling, ...] | None, int]:
    """Return the layers of a result, bottom first, and how many were looked at.

    None where one is missing, or where they have no end.
    """
    found: list[Travelling] = []
    at = number
    while at != NO_PARENT:
        layer = _layer(layers[at], blobs) if 0 <= at < len(layers) else None
        if layer is None or len(found) >= DEEPEST:
            return None, len(found) + 1
        found.append(layer)
        at = layers[at].parent
    return tuple(reversed(found)), len(found)


def _layer(entry: LayerEntry, blobs: Mapping[str, Descriptor]) -> Travelling | None:
    about, blob = entry.annotations, blobs.get(entry.blob)
    if about is None or blob is None or not SHA256.fullmatch(about.diff_id):
        return None
    kind = blob.media_type if blob.media_type in LAYER_KINDS else about.media_type
    if kind not in LAYER_KINDS or blob.size < 0 or not SHA256.fullmatch(blob.digest):
        return None
    descriptor = Descriptor(media_type=kind, digest=blob.digest, size=blob.size)
    return Travelling(descriptor, Digest(about.diff_id))
