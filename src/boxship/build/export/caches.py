"""The steps of a build, with their layers, go to a registry or to a folder of the client's.

mode=min      the results that the built image is made of
mode=max      those of every step
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from boxship.build.announcing import Tell
from boxship.build.cache import document
from boxship.build.cache.document import Step, Travelling
from boxship.build.cache.places import AtClient, InRegistry, Target, unique
from boxship.build.export.layers import LayerPacker, Packed
from boxship.build.filesystems import Filesystems, Layers, Value
from boxship.build.request import CacheOption
from boxship.build.sources.source import Asker
from boxship.content.store import Blobs, Lease
from boxship.distribution.client import Registry
from boxship.distribution.pool import Pool
from boxship.errors import InvalidRequest
from boxship.image import packing
from boxship.image.images import Images
from boxship.lib import strictjson
from boxship.lib.finishing import in_thread
from boxship.lib.groups import first_of
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest
from boxship.spec.oci.image import Descriptor, Index, Manifest
from boxship.spec.reference import Reference

UPLOADS: Final = 4
NO: Final = frozenset({"0", "f", "F", "false", "False", "FALSE"})
HOW: Final = frozenset({"", "uncompressed", "gzip", "zstd"})


@dataclass(frozen=True, slots=True)
class Written:
    """A cache's documents and blobs, all of them in the content store."""

    media_type: str
    top: bytes
    blobs: Sequence[Descriptor]

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(
            media_type=self.media_type, digest=Digest.of(self.top), size=len(self.top)
        )


@dataclass(frozen=True, slots=True)
class CacheExports:
    """Sends caches."""

    images: Images
    blobs: Blobs
    packer: LayerPacker
    filesystems: Filesystems
    pool: Pool

    async def send(
        self,
        option: CacheOption,
        steps: Sequence[Step],
        values: Sequence[Value],
        asker: Asker,
        tell: Tell,
    ) -> dict[str, str]:
        """Send one cache; return what the client is told of it."""
        target = await self._target(option, asker)
        async with in_thread(self.images.working_on()) as lease:
            with tell("preparing build cache for export"):
                written = await asyncio.to_thread(self._write, option, steps, values, lease)
            room = asyncio.Semaphore(UPLOADS)

            async def put(blob: Descriptor) -> None:
                async with room:
                    with tell(f"writing layer {blob.digest}"):
                        await target.put(blob, self.blobs)

            try:
                async with asyncio.TaskGroup() as tasks:
                    for blob in written.blobs:
                        tasks.create_task(put(blob))
            except BaseExceptionGroup as group:
                raise first_of(group) from None  # the group leads back to it
            with tell(f"writing cache manifest {written.descriptor.digest}"):
                await target.finish(written.media_type, written.top)
        return {"cache.manifest": strictjson.encode(written.descriptor).decode()}

    async def _target(self, option: CacheOption, asker: Asker) -> Target:
        match option.kind:
            case "registry":
                reference = Reference.parse(option.attrs["ref"])
                if reference.digest is not None:
                    raise InvalidRequest("a cache export to a registry needs a tag, not a digest")
                reference = reference.with_default_tag()
                login = await asker.login(reference.host)
                return InRegistry(reference, Registry(reference.host, login, self.pool))
            case _:
                folder = option.attrs.get("dest", "")
                if not folder or not asker.sessions:
                    raise InvalidRequest(
                        "a local cache export needs a dest, and a client's session"
                    )
                name = f"local:{folder}"
                return AtClient(name, asker.sessions[0].store(name))

    def _write(
        self, option: CacheOption, steps: Sequence[Step], values: Sequence[Value], lease: Lease
    ) -> Written:
        """Pack what travels, and write the documents."""
        how = option.attrs.get("compression", "")
        if how not in HOW:
            raise InvalidRequest(f"compression {how!r} of a cache is not supported")
        steps = self._chosen(option, steps, values)
        stacks: dict[Digest, list[Travelling]] = {}
        packed: dict[Digest, Descriptor] = {}
        moved: list[Step] = []
        for step in steps:
            outputs: dict[int, Digest] = {}
            for number, chain in step.outputs.items():
                layers = self.packer.pack(ChainId(chain), lease)
                if not layers or not all(self.blobs.has(one.descriptor.digest) for one in layers):
                    continue
                top = layers[-1].chain
                if top not in stacks:
                    stacks[top] = [self._travelling(one, how, packed, lease) for one in layers]
                outputs[number] = top
            moved.append(Step(step.key, step.identity, outputs))
        said = strictjson.encode(document.write(moved, stacks))
        config = Descriptor(
            media_type=document.CONFIG, digest=self.blobs.put(said, lease), size=len(said)
        )
        layers_ = unique([one.descriptor for stack in stacks.values() for one in stack])
        top_document = _manifest(option, config, layers_)
        return Written(top_document.media_type, strictjson.encode(top_document), [*layers_, config])

    def _chosen(
        self, option: CacheOption, steps: Sequence[Step], values: Sequence[Value]
    ) -> Sequence[Step]:
        """Return the steps with the results that travel."""
        if option.attrs.get("mode", "min") == "max":
            return steps
        of_image = {
            chain
            for value in values
            if isinstance(value, Layers)
            for chain in self.filesystems.lineage(_current(self.packer, value.chain))
        }
        return [
            Step(
                step.key,
                step.identity,
                {
                    number: chain
                    for number, chain in step.outputs.items()
                    if _current(self.packer, ChainId(chain)) in of_image
                },
            )
            for step in steps
        ]

    def _travelling(
        self, layer: Packed, how: str, packed: dict[Digest, Descriptor], lease: Lease
    ) -> Travelling:
        """Return a layer as it travels: as it is stored, or packed as was asked for."""
        about = layer.descriptor
        if about.digest not in packed:
            packed[about.digest] = packing.layer(about, self.blobs, lease, how)
        return Travelling(packed[about.digest], layer.diff_id, layer.created)


def _current(packer: LayerPacker, chain: ChainId | None) -> ChainId | None:
    return None if chain is None else packer.current(chain)


def _manifest(
    option: CacheOption, config: Descriptor, layers: Sequence[Descriptor]
) -> Manifest | Index:
    docker = option.attrs.get("oci-mediatypes", "true") in NO
    as_image = option.attrs.get("image-manifest", "false" if docker else "true") not in NO
    if as_image and docker:
        raise InvalidRequest("an image manifest of a cache needs oci-mediatypes")
    if as_image:
        return document.manifest(config, layers)
    return document.index(config, layers, docker=docker)
