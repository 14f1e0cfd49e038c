"""Commit: what a container changed becomes an image's layer, its config the image's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from boxship.container.containers import Containers
from boxship.container.lifecycle import State
from boxship.container.merge import merged
from boxship.container.record import Container
from boxship.container.registry import Cell
from boxship.errors import BoxshipError, Conflict
from boxship.image.images import Images
from boxship.image.making import changed
from boxship.image.record import Image
from boxship.model.ids import ContainerId
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.engine.container import ContainerConfig
from boxship.spec.engine.image import ImageConfig
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How the image shall be; `config` stands over the container's own, where it says anything."""

    config: ContainerConfig | None = None
    changes: Sequence[str] = ()
    name: str = ""
    author: str = ""
    comment: str = ""
    pause: bool = True


class Commits:
    """Makes images of containers."""

    def __init__(self, containers: Containers, images: Images, snapshots: Snapshots) -> None:
        self._containers = containers
        self._images = images
        self._snapshots = snapshots

    async def commit(self, ref: str, wanted: Wanted) -> Image:
        """Make an image of a container as it is now, frozen meanwhile if that is wanted."""
        cell = self._containers.find(ref)
        _check(cell, ref)
        run = run_config(cell.record.config, wanted.config, wanted.changes)
        if wanted.pause and cell.record.state is State.RUNNING:
            async with self._frozen(cell):
                made = await asyncio.to_thread(self._make, cell.record, run, wanted)
        else:
            made = await asyncio.to_thread(self._make, cell.record, run, wanted)
        name = Reference.parse(wanted.name).with_default_tag().familiar if wanted.name else ""
        self._containers.announce(
            cell, "commit", comment=wanted.comment, imageID=str(made.id), imageRef=name
        )
        return made

    @contextlib.asynccontextmanager
    async def _frozen(self, cell: Cell) -> AsyncIterator[None]:
        """Keep the processes still, unless they end or are frozen already by somebody else."""
        is_ours = True
        try:
            await self._containers.pause(cell.id)
        except Conflict:
            is_ours = False
        try:
            yield
        finally:
            if is_ours:
                with contextlib.suppress(BoxshipError):  # ended, or let go by somebody else
                    await self._containers.unpause(cell.id)

    def _make(self, record: Container, run: ImageConfig, wanted: Wanted) -> Image:
        parent = self._images.get(record.image, platform_of(record)) if record.image else None
        return self._images.commit(
            parent,
            self._layer(record.id),
            run,
            author=wanted.author,
            comment=wanted.comment,
            name=wanted.name,
            created_by=" ".join(record.config.cmd or ()),
        )

    def _layer(self, container: ContainerId) -> Iterator[bytes]:
        """Yield the layer; half of one, when the container was removed meanwhile, is a failure."""
        yield from self._snapshots.diff(container)
        if not self._snapshots.exists(container):
            raise Conflict(f"container {container} was removed while it was committed")


def _check(cell: Cell, ref: str) -> None:
    match cell.record.state:
        case State.DEAD:
            raise Conflict(f"You cannot commit container {ref} which is Dead")
        case State.REMOVING:
            raise Conflict(f"You cannot commit container {ref} which is being removed")
        case _:
            pass


def run_config(
    own: ContainerConfig, asked: ContainerConfig | None, changes: Sequence[str]
) -> ImageConfig:
    """Return how the image is run: as the container was, but for what was asked and changed."""
    base = _as(own, ImageConfig)
    run = changed(base if asked is None else _as(asked, ImageConfig), changes)
    return _as(merged(_as(run, ContainerConfig), base), ImageConfig)


def platform_of(record: Container) -> Platform | None:
    """Return the platform of the variant that the container was made from, None for the host's."""
    shown = msgspec.json.decode(record.manifest) if record.manifest else {}
    platform = shown.get("platform")
    if not platform:
        return None
    return Platform(platform["os"], platform["architecture"], platform.get("variant", ""))


def _as(config: msgspec.Struct, kind: type[T]) -> T:
    """Return the fields of a config that another kind of config has too."""
    return msgspec.convert(msgspec.to_builtins(config), kind)
