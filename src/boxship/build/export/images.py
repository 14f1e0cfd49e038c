"""Results become an image in the engine's store: documents, layers, a record."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from boxship.build import inline
from boxship.build.cache.records import Held
from boxship.build.export import annotating, attestations, documents
from boxship.build.export.annotating import Annotations
from boxship.build.export.layers import LayerPacker, Packed
from boxship.build.export.provenance import Course
from boxship.build.filesystems import Filesystems, Value
from boxship.build.inline import KnownStep
from boxship.build.request import BuildRequest, Built, Export, Target
from boxship.build.statements import Statement
from boxship.content.store import Blobs, Lease
from boxship.errors import InvalidRequest
from boxship.image.images import Image, Images
from boxship.lib import strictjson
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import Descriptor, History, ImageConfig
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Part:
    """One platform's result; said is what a frontend claims of it, and a scanner."""

    target: Target
    value: Value
    steps: tuple[KnownStep, ...] = ()
    said: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class Assembled:
    """An image's documents, in the content store; nothing points to them yet."""

    top: Descriptor
    manifests: Mapping[str, Descriptor]
    configs: Mapping[str, Digest]


@dataclass(frozen=True, slots=True)
class Order:
    """One export: what was asked for, of which results, and how these came to be."""

    request: BuildRequest
    export: Export
    parts: Sequence[Part]
    held: Held
    course: Course

    @property
    def names(self) -> Sequence[str]:
        """What the image is to be called."""
        return wanted_names(self.request, self.export)


class ImageExport:
    """Makes images; blocks."""

    def __init__(
        self,
        images: Images,
        blobs: Blobs,
        packer: LayerPacker,
        filesystems: Filesystems,
        host: Platform,
    ) -> None:
        self._images = images
        self._blobs = blobs
        self._packer = packer
        self._filesystems = filesystems
        self._host = host

    def store(self, order: Order) -> Built:
        """Put the image into the engine's store, under every name that was asked for."""
        names = order.names
        made, added = self._added(order)
        self._images.announce_build(added, names, order.request.ref)
        return Built(
            image=made.top,
            manifests=made.manifests,
            configs=made.configs,
            names=tuple(names),
            metadata=metadata(made, names),
        )

    def add(self, order: Order) -> Image:
        """Put the image into the engine's store, and tell nobody."""
        return self._added(order)[1]

    def _added(self, order: Order) -> tuple[Assembled, Image]:
        with self._images.working_on() as lease:
            made = self.assemble(order, lease)
            return made, self._images.add(self._images.read(made.top), order.names)

    def assemble(self, order: Order, lease: Lease) -> Assembled:
        """Write the documents; several platforms' are held together by an index."""
        docker = order.export.attrs.get("oci-mediatypes") == "false"
        said = annotating.read(order.export.attrs, self._host)
        manifests: dict[str, Descriptor] = {}
        configs: dict[str, Digest] = {}
        for part in order.parts:
            name = str(part.target.platform or self._host)
            config, manifests[name] = self._one(
                order.request, part, lease, order.held, said, docker=docker
            )
            configs[name] = config.digest
        attested = self._attested(order, manifests, lease)
        if len(manifests) == 1 and not attested:
            if said.of_index:
                raise InvalidRequest("annotations of an index need several platforms")
            return Assembled(next(iter(manifests.values())), manifests, configs)
        listed = [self._listed(name, one, said) for name, one in manifests.items()]
        of_index = said.of(annotating.INDEX)
        index = documents.index([*listed, *attested], docker=docker, annotations=of_index)
        top = self._put(documents.encode(index), index.media_type, lease)
        if pointed := said.of(annotating.INDEX_DESCRIPTOR):
            top = msgspec.structs.replace(top, annotations=pointed)
        return Assembled(top, manifests, configs)

    def _attested(
        self, order: Order, manifests: Mapping[str, Descriptor], lease: Lease
    ) -> list[Descriptor]:
        if not attestations.wanted(order.request, order.parts):
            return []
        names = order.names
        return [
            attestations.attest(
                order.request,
                order.course,
                part,
                manifests[str(part.target.platform or self._host)],
                names,
                self._host,
                self._filesystems,
                self._blobs,
                lease,
            )
            for part in order.parts
            if attestations.any_of(order.request, part)
        ]

    def _one(
        self,
        request: BuildRequest,
        part: Part,
        lease: Lease,
        held: Held,
        said: Annotations,
        *,
        docker: bool,
    ) -> tuple[Descriptor, Descriptor]:
        chain = self._filesystems.layered(part.value, "files", held, [])
        epoch = request.source_date_epoch
        if epoch is None:
            layers = self._packer.pack(chain, lease)
        else:
            layers = self._packer.pack_anew(chain, lease, epoch * SECOND)
        asked = self._config(part.target)
        config = documents.config(asked, layers, epoch, time.time_ns())
        kind = oci.DOCKER_CONFIG if docker else oci.OCI_CONFIG
        data = documents.encode(config)
        if request.caches_inline:
            data = self._with_cache(data, part, layers)
        config_at = self._put(data, kind, lease)
        written = said.of(annotating.MANIFEST, part.target.platform or self._host)
        manifest = documents.manifest(
            config_at, layers, docker=docker, annotations={**request.annotations, **written}
        )
        return config_at, self._put(documents.encode(manifest), manifest.media_type, lease)

    def _with_cache(self, config: bytes, part: Part, layers: Sequence[Packed]) -> bytes:
        """Put into a configuration which steps its layers are the results of."""
        current = self._packer.current
        steps = [dataclasses.replace(one, chain=current(one.chain)) for one in part.steps]
        document = msgspec.json.decode(config)
        document[inline.MEMBER] = inline.write(steps, [layer.chain for layer in layers])
        return strictjson.encode(document)

    def _config(self, target: Target) -> ImageConfig:
        platform = target.platform or self._host
        asked = target.config or ImageConfig(
            architecture=platform.architecture, os=platform.os, variant=platform.variant
        )
        if target.history:
            lines = [
                History(created_by=s.created_by, comment=s.comment, empty_layer=s.empty)
                for s in target.history
            ]
            asked = msgspec.structs.replace(asked, history=lines)
        return asked

    def _listed(self, name: str, manifest: Descriptor, said: Annotations) -> Descriptor:
        """Return a manifest as an index lists it."""
        platform = Platform.parse(name, self._host)
        return msgspec.structs.replace(
            manifest,
            platform=documents.platform_document(platform),
            annotations=said.of(annotating.MANIFEST_DESCRIPTOR, platform) or None,
        )

    def _put(self, data: bytes, media_type: str, lease: Lease) -> Descriptor:
        return Descriptor(
            media_type=media_type, digest=self._blobs.put(data, lease), size=len(data)
        )


def wanted_names(request: BuildRequest, export: Export) -> list[str]:
    """Return what the image is to be called, canonical, each once."""
    said = [*request.tags]
    said += [name for name in export.attrs.get("name", "").split(",") if name]
    found: list[str] = []
    for name in said:
        found.append(str(Reference.parse(name).for_image()))
    return list(dict.fromkeys(found))


def metadata(made: Assembled, names: Sequence[str]) -> dict[str, str]:
    """Return what clients are told of an image."""
    found = {
        "containerimage.digest": str(made.top.digest),
        "containerimage.descriptor": strictjson.encode(made.top).decode(),
    }
    if len(made.configs) == 1:
        found["containerimage.config.digest"] = str(next(iter(made.configs.values())))
    if names:
        found["image.name"] = ",".join(names)
    return found
