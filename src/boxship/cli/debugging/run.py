"""A build that its caller looks into when it has failed, or when it is done."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Mapping
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from boxship.cli.building.asked import Asked, Prepared, prepare
from boxship.cli.building.builders import Builder
from boxship.cli.building.failure import told
from boxship.cli.building.localstate import LocalStates
from boxship.cli.building.run import Results, tick
from boxship.cli.building.show import Heading, display
from boxship.cli.debugging import places
from boxship.cli.debugging.console import Console
from boxship.cli.debugging.invoke import Invoke
from boxship.cli.debugging.monitor import End, Monitor
from boxship.cli.debugging.places import Place
from boxship.client.bridges import Bridge
from boxship.client.builds import Builds
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import control_pb2 as pb
from boxship.wire.grpc import Failed

if TYPE_CHECKING:
    from boxship.cli.building.show import Display
    from boxship.cli.shell import Shell

T = TypeVar("T")
MOMENTS: Final = ("always", "error")


@dataclass(frozen=True, slots=True)
class Debugging:
    """Which builds are looked into, and what is run there first."""

    moment: str
    invoke: Invoke

    def build(
        self,
        shell: Shell,
        wanted: Mapping[str, Asked],
        mode: str,
        *,
        builder: Builder,
        debug: bool,
    ) -> tuple[int, Results]:
        """Do a build; return the exit code and what it has come to."""
        (asked,) = wanted.values()
        if "-" in (asked.context, asked.dockerfile):
            raise InvalidRequest(
                "Dockerfile or context from stdin is not supported with a monitor, which reads it"
            )

        def shown() -> Display:
            heading = Heading(builder.name, builder.driver)
            return display(mode, shell.err, heading, debug=debug, environment=shell.environment)

        async def run() -> tuple[int, Results]:
            console = Console()
            async with Builds(builder.place(shell)).connected() as builds:
                while True:
                    build = _Build(shell, asked, builder, builds, console, shown(), self)
                    if (done := await build.run()) is not None:
                        return done

        return asyncio.run(run())


@dataclass(slots=True)
class _Build:
    """One try; a reload is another."""

    shell: Shell
    asked: Asked
    builder: Builder
    builds: Builds
    console: Console
    shown: Display
    debugging: Debugging

    async def run(self) -> tuple[int, Results] | None:
        """Build and look; None where it is to be done again."""
        async with AsyncExitStack() as undo:
            local = undo.enter_context(ExitStack())
            prepared = await asyncio.to_thread(prepare, self.shell, self.asked, local, self.builder)
            session = self.builds.session(prepared.offers, prepared.shared_key)
            prepared.request.session = await undo.enter_async_context(session)
            LocalStates(self.shell, self.builder).keep(prepared.request.ref, "", self.asked)
            return await self._driven(prepared)

    async def _driven(self, prepared: Prepared) -> tuple[int, Results] | None:
        request = prepared.request
        ticking = asyncio.ensure_future(tick(self.shown))
        over = asyncio.Event()  # what the monitor has made is not shown as part of the build

        def heard(told: pb.StatusResponse) -> None:
            if not over.is_set():
                self.shown.take(told)

        async with self.builds.driven(request, heard) as (bridge, solving):
            try:
                result = await unless_over(solving, bridge.solve(request))
                await unless_over(solving, bridge.evaluate(result))
                await bridge.give_back(result)
                answer = await solving
            except Failed as failure:
                ticking.cancel()
                over.set()
                self.shown.finish()
                self.shell.report(told(failure))
                end = await self._look(bridge, places.of_failure(failure.details), request.ref)
                if not solving.done():
                    with suppress(Failed):
                        await bridge.fail(failure)
                        await solving
                return None if end is End.RELOAD else (1, {})
            finally:
                ticking.cancel()
        self.shown.finish()
        prepared.layouts.finish(answer.exporter_response)
        if self.debugging.moment == "always" and await self._after(request) is End.RELOAD:
            return None
        ref = f"{self.builder.name}/{self.builder.node}/{request.ref}"
        return 0, {"": {**answer.exporter_response, "buildx.build.ref": ref}}

    async def _after(self, request: pb.SolveRequest) -> End:
        """Look into a result; all of it is in the cache."""
        again = pb.SolveRequest()
        again.CopyFrom(request)
        again.ref, again.internal = secrets.token_hex(12), True
        del again.exporters[:]
        again.cache.Clear()
        async with self.builds.driven(again, lambda told: None) as (bridge, solving):
            result = await unless_over(solving, bridge.solve(request, cached=True))
            return await self._look(bridge, places.of_result(result), request.ref)

    async def _look(self, bridge: Bridge, place: Place | None, ref: str) -> End:
        if place is None:
            return End.EXIT  # no process has failed, or nothing was built: there is nowhere to look
        return await Monitor(self.shell, self.console, bridge, place, ref).run(
            self.debugging.invoke
        )


async def unless_over(solving: asyncio.Future[Any], work: Awaitable[T]) -> T:
    """Return what comes of a call of the bridge; raises why the build has ended before that."""
    going = asyncio.ensure_future(work)
    every: list[asyncio.Future[Any]] = [going, solving]
    await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
    if not going.done():
        going.cancel()
        await asyncio.wait([going])
        solving.result()
    return going.result()
