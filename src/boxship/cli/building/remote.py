"""Calls of the builder's service from commands that ask one thing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from boxship.client.builds import Builds
from boxship.errors import Unavailable

if TYPE_CHECKING:
    from boxship.cli.building.builders import Builder
    from boxship.cli.shell import Shell

T = TypeVar("T")


def ask(
    shell: Shell,
    question: Callable[[Builds], Awaitable[T]],
    builder: Builder | None = None,
    within: float = 0,
) -> T:
    """Connect to a builder, the engine's own for none, ask, and return the answer.

    A builder elsewhere has to answer at all `within` some seconds, if they are said.
    """
    place = builder.place(shell) if builder else shell.client

    async def run() -> T:
        async with Builds(place).connected() as builds:
            if within:
                try:
                    async with asyncio.timeout(within):
                        await builds.workers()
                except TimeoutError:
                    name = builder.name if builder else "default"
                    raise Unavailable(f"builder {name} has not answered in time") from None
            return await question(builds)

    return asyncio.run(run())
