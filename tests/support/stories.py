"""Stories that are told in a workshop: graphs solved by the builder, without a door."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from boxship.image import bootstrap
from tests.support.building import Workshop, workshop

NUMBER = 460

Story = Callable[[Workshop], Awaitable[None]]


def tell(story: Story, number: int, root: Path | None = None) -> None:
    """Run a story in a workshop with busybox; afterwards nothing may be left."""

    async def whole() -> None:
        async with workshop(NUMBER + number, root) as shop:
            host = shop.engine.parts[bootstrap.Host]
            assert isinstance(host, bootstrap.Host)
            await asyncio.to_thread(
                bootstrap.bootstrap, shop.engine.images, "busybox", host, lambda *_: None
            )
            await story(shop)
            assert leftovers(shop) == []

    asyncio.run(whole())


def leftovers(shop: Workshop) -> list[str]:
    """Return what builds have left that they should not have."""
    snapshots = shop.builder.filesystems._snapshots
    found = [key for key in snapshots.keys() if key.startswith("build-")]  # noqa: SIM118
    found += [name for name in os.listdir(f"{shop.root}/x/b") if name != ".place"]
    mounts = Path("/proc/self/mountinfo").read_text()
    found += [line for line in mounts.splitlines() if str(shop.root) in line]
    return found
