"""Gives out results: into the engine's store, to registries, to the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from boxship.build.announcing import Tell, announced
from boxship.build.cache.places import AtClient
from boxship.build.export import archives
from boxship.build.export.archives import Archives
from boxship.build.export.images import ImageExport, Order, Part, metadata
from boxship.build.export.provenance import Course
from boxship.build.needs import ClientSession
from boxship.build.progress import Report
from boxship.build.request import NO, YES, BuildRequest, Built, Export, Kind
from boxship.build.sources.source import Asker
from boxship.errors import InvalidRequest
from boxship.image.push import Pushes
from boxship.image.telling import Told as PushTold
from boxship.spec.reference import Reference

T = TypeVar("T")
SECOND = 1_000_000_000
NAMES: Mapping[Kind, str] = {
    Kind.IMAGE: "exporting to image",
    Kind.DOCKER: "exporting to docker image format",
    Kind.OCI: "exporting to oci image format",
    Kind.LOCAL: "exporting to client directory",
    Kind.TAR: "exporting to client tarball",
}


@dataclass(frozen=True, slots=True)
class Exporter:
    """Carries exports out, one after the other."""

    images: ImageExport
    archives: Archives
    pushes: Pushes

    async def export(
        self,
        request: BuildRequest,
        parts: Sequence[Part],
        asker: Asker,
        report: Report,
        course: Course,
    ) -> Built:
        """Give out a build's results; return what they are called now."""
        built = Built()
        for wanted in request.exports:
            with announced(report, NAMES[wanted.kind]) as tell:
                order = Order(_dated(request, wanted), wanted, parts, asker.held, course)
                made = await self._one(order, asker, tell)
            built = replace(made, metadata={**built.metadata, **made.metadata})
        return built

    async def _one(self, order: Order, asker: Asker, tell: Tell) -> Built:
        match order.export.kind:
            case Kind.IMAGE:
                return await self._image(order, asker, tell)
            case Kind.DOCKER | Kind.OCI:
                return await self._archive(order, asker, tell)
            case Kind.LOCAL | Kind.TAR:
                return await self._files(order, asker)

    async def _image(self, order: Order, asker: Asker, tell: Tell) -> Built:
        with tell("exporting layers"):
            made = await _to_the_end(self.images.store, order)
        if made.image is not None:
            tell.done(f"writing image {made.image.digest}")
        for name in made.names:
            tell.done(f"naming to {name}")
        if order.export.attrs.get("push", "") in YES:
            await self._push(made, asker, tell)
        return made

    async def _push(self, made: Built, asker: Asker, tell: Tell) -> None:
        if not made.names:
            raise InvalidRequest("tag is needed when pushing to registry")
        for name in made.names:
            reference = Reference.parse(name)
            login = await asker.login(reference.host)

            def heard(said: object) -> None:
                if isinstance(said, PushTold) and said.id:
                    tell.part(f"pushing layer {said.id}", said.current, said.total)

            with tell(f"pushing {name}"):
                await self.pushes.push(reference, login, heard)

    async def _archive(self, order: Order, asker: Asker, tell: Tell) -> Built:
        session = _client(asker)
        names = order.names
        if order.export.attrs.get("tar", "true") in NO:
            return await self._layout(order, asker, tell)
        async with entered(self.archives.of_image(order)) as (made, pieces):
            found = metadata(made, names)
            with tell("sending tarball"):
                await session.send_archive(pieces, found, order.export.target)
            return Built(made.top, made.manifests, made.configs, tuple(names), found)

    async def _layout(self, order: Order, asker: Asker, tell: Tell) -> Built:
        """Put an image's content into a folder in OCI layout, which the client keeps."""
        target = AtClient("the folder of the result", _client(asker).store("export"))
        names = order.names
        async with entered(self.archives.content_of(order)) as (made, content):
            with tell("copying files"):
                for blob in content:
                    await target.put(blob, self.archives.blobs)
        found = metadata(made, names)
        return Built(made.top, made.manifests, made.configs, tuple(names), found)

    async def _files(self, order: Order, asker: Asker) -> Built:
        session, wanted = _client(asker), order.export
        epoch = order.request.source_date_epoch
        latest = None if epoch is None else epoch * SECOND
        async with entered(self.archives.of_files(order)) as (path, root):
            if wanted.kind is Kind.LOCAL:
                await session.send_tree(path, wanted.target, latest)
            else:
                pieces = archives.files(root, latest)
                await session.send_archive(pieces, {}, wanted.target)
        return Built()


def has_layers(request: BuildRequest) -> bool:
    """Whether layers are given out, as the steps have made them."""
    if request.squash or request.source_date_epoch is not None:
        return False
    kinds = [one.kind for one in request.exports if "source-date-epoch" not in one.attrs]
    return bool(request.cache_to) or bool({Kind.IMAGE, Kind.DOCKER, Kind.OCI}.intersection(kinds))


def _dated(request: BuildRequest, export: Export) -> BuildRequest:
    """Return a request with the time that is wanted for one export."""
    said = export.attrs.get("source-date-epoch", "")
    if not said:
        return request
    if not (said.isascii() and said.isdecimal() and len(said) < 12):
        raise InvalidRequest(f"invalid source-date-epoch: {said[:100]!r}")
    return replace(request, source_date_epoch=int(said))


def _client(asker: Asker) -> ClientSession:
    if not asker.sessions:
        raise InvalidRequest("a client's session is needed to give out the result")
    return asker.sessions[0]


@asynccontextmanager
async def entered(block: AbstractContextManager[T]) -> AsyncIterator[T]:
    """Enter and leave a block in threads: its beginning and its end may wait for a disk."""
    with ExitStack() as stack:
        yield await _to_the_end(stack.enter_context, block)
        await asyncio.to_thread(stack.close)


async def _to_the_end(work: Callable[..., T], *arguments: object) -> T:
    """Do what blocks in a thread; who is cancelled waits until it has ended."""
    going = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(going)
    except asyncio.CancelledError:
        await asyncio.wait([going])
        raise
