"""Calls of the builder's service from commands that ask one thing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from boxship.client.builds import Builds

if TYPE_CHECKING:
    from boxship.cli.building.builders import Builder
    from boxship.cli.shell import Shell

T = TypeVar("T")


def ask(
    shell: Shell, question: Callable[[Builds], Awaitable[T]], builder: Builder | None = None
) -> T:
    """Connect to a builder, the engine's own for none, ask, and return the answer."""
    place = builder.place(shell) if builder else shell.client

    async def run() -> T:
        async with Builds(place).connected() as builds:
            return await question(builds)

    return asyncio.run(run())
