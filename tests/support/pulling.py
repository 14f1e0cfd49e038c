"""Images in a folder of the test's own, and pulls and pushes between them and registries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boxship.distribution.auth import ANONYMOUS, Credentials
from boxship.distribution.client import Registry
from boxship.distribution.pool import Pool
from boxship.distribution.settings import Settings
from boxship.image.pull import Pulls
from boxship.image.push import Pushes
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference
from tests.support import images as made
from tests.support.faulty_registry import FaultyRegistry

QUICK = Settings(attempts=3, back_off=0.0, stall_timeout=5.0, connect_timeout=5.0, certificates=())


class Naps:
    """Waits for nothing, and knows for how long it was told to wait."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)


def asking(
    host: str,
    work: Callable[[Registry], Awaitable[Any]],
    credentials: Credentials = ANONYMOUS,
    naps: Naps | None = None,
    **settings: Any,
) -> Any:
    """Do something with a registry's client, on a loop of its own."""

    async def run() -> Any:
        pool = Pool(replace(QUICK, **settings), sleep=naps or Naps())
        try:
            return await work(Registry(host, credentials, pool))
        finally:
            await pool.close()

    return asyncio.run(run())


class Puller:
    """An engine's images, its pulls and its pushes."""

    def __init__(self, root: Any, **settings: Any) -> None:
        self.engine = made.Engine(root)
        self.settings = replace(QUICK, **settings)
        self.naps = Naps()
        self.told: list[Any] = []
        self.empty = self.engine.stored()

    def close(self) -> None:
        self.engine.database.close()

    def run(self, work: Callable[[Pulls, Pushes], Awaitable[Any]]) -> Any:
        """Do something with pulls and pushes, on a loop of its own."""

        async def running() -> Any:
            pool = Pool(self.settings, sleep=self.naps)
            pulls = Pulls(self.engine.images, self.engine.blobs, self.engine.snapshots, pool)
            try:
                return await work(pulls, Pushes(self.engine.images, self.engine.blobs, pool))
            finally:
                pulls.close()
                await pool.close()

        return asyncio.run(running())

    def pull(self, name: str, credentials: Credentials = ANONYMOUS, platform: str = "") -> Any:
        wanted = Platform.parse(platform) if platform else None
        return self.run(
            lambda pulls, _: pulls.pull(
                Reference.parse(name), credentials, self.told.append, wanted
            )
        )

    def push(self, name: str, credentials: Credentials = ANONYMOUS, platform: str = "") -> Any:
        wanted = Platform.parse(platform) if platform else None
        return self.run(
            lambda _, pushes: pushes.push(
                Reference.parse(name), credentials, self.told.append, wanted
            )
        )

    @property
    def statuses(self) -> list[str]:
        return [getattr(one, "status", "") for one in self.told]

    def is_clean(self) -> bool:
        """Whether the store is as it was before anything was pulled."""
        return self.engine.stored() == self.empty and not self.engine.images.list()


LOW = made.archive(("low", b"low", {}))
HIGH = made.archive(("high", b"high" * 100_000, {}), ("big", bytes(range(256)) * 8192, {}))


@pytest.fixture
def two_layers() -> Iterator[FaultyRegistry]:
    """A registry that has `a/b:1`, of LOW and HIGH, which packed is small."""
    with FaultyRegistry() as running:
        running.add("a/b", "1", [LOW, HIGH])
        yield running


@pytest.fixture
def quick_puller(tmp_path: Path) -> Iterator[Puller]:
    found = Puller(tmp_path)
    yield found
    found.close()
