"""What the builder's services ask of the builder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from boxship.build.cache.record import Usage
from boxship.build.dockerfile.options import Resolved
from boxship.build.ops import Exec, Ref, Resources, Source
from boxship.build.progress import Report
from boxship.build.request import UNLIMITED, BuildRequest, Built, Graph
from boxship.build.running.container import Container
from boxship.build.sources.source import Looked
from boxship.spec.platform import Platform


class Builder(Protocol):
    """Builds; every method may be cancelled."""

    async def plan(self, request: BuildRequest, report: Report) -> Graph:
        """Return the graph that a request's front end makes."""

    async def build(self, request: BuildRequest, report: Report) -> Built:
        """Solve and export."""

    def opened(
        self, ref: Ref | None, request: BuildRequest, report: Report
    ) -> AbstractAsyncContextManager[str]:
        """Solve a result and show it as a folder."""

    async def date_of(self, source: Source, request: BuildRequest, report: Report) -> int | None:
        """Return of what time a source is, in seconds."""

    def container(
        self,
        op: Exec,
        refs: Sequence[Ref | None],
        request: BuildRequest,
        report: Report,
        limits: Resources = UNLIMITED,
    ) -> AbstractAsyncContextManager[Container]:
        """Solve results, and have them as the mounts of `op` for processes of the caller's."""

    async def look(
        self, source: Source, platform: Platform, request: BuildRequest, *, objects: bool
    ) -> tuple[Source, Looked | None]:
        """Return a source as policies would have it, and what is known of it.

        Nothing is known of a client's folder, and of images here: `resolve` finds them.
        """

    async def resolve(
        self, reference: str, platform: Platform, request: BuildRequest, *, pull: bool
    ) -> Resolved:
        """Find an image and its configuration, for what is asked there."""


class Cache(Protocol):
    """What builds have left behind."""

    def usage(self, filters: Mapping[str, Sequence[str]]) -> Sequence[Usage]:
        """Return what there is."""

    async def prune(
        self,
        filters: Mapping[str, Sequence[str]],
        *,
        everything: bool,
        keep: int,
        most: int,
        free: int,
        unused_for: int,
    ) -> Sequence[Usage]:
        """Remove what may go; sizes in bytes, `unused_for` in nanoseconds, 0 for any."""
