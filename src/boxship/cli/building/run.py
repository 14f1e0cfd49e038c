"""Having builds done: connect, offer, ask, show."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

from boxship.cli.building.asked import Asked, Prepared, links, prepare
from boxship.cli.building.builders import Builder
from boxship.cli.building.failure import told
from boxship.cli.building.localstate import LocalStates
from boxship.cli.building.show import EVERY, MODES, Heading, display
from boxship.cli.building.tracking import CANCELED, prefixed
from boxship.client.builds import CONFIG, Builds, Graph
from boxship.errors import InvalidRequest
from boxship.lib.groups import first_of
from boxship.wire.grpc import Failed

if TYPE_CHECKING:
    from boxship.cli.building.show import Display
    from boxship.cli.shell import Shell
    from boxship.client.builds import Heard
    from boxship.spec.buildkit import control_pb2 as pb


Results = dict[str, dict[str, str]]
INTERRUPTED: Final = 130  # the exit code of whom a signal of the keyboard has ended


def build_all(
    shell: Shell,
    wanted: Mapping[str, Asked],
    mode: str,
    linked: Mapping[str, Asked] | None = None,
    *,
    builder: Builder | None = None,
    debug: bool = False,
) -> tuple[int, Results]:
    """Do builds, all at once; return the exit code and what each has come to.

    `linked` are builds that the wanted ones use as contexts, by name. With several, what is shown
    of a step begins with the name of its build.
    """
    chosen = builder or Builder()
    debug = debug or bool(shell.options.get("debug"))
    shown = display(
        mode,
        shell.err,
        Heading(chosen.name, chosen.driver),
        debug=debug,
        environment=shell.environment,
    )
    try:
        return asyncio.run(_build_all(shell, wanted, shown, linked or {}, chosen))
    except KeyboardInterrupt:
        shell.report(f"ERROR: failed to solve: Canceled: {CANCELED}")
        return INTERRUPTED, {}


async def _build_all(
    shell: Shell,
    wanted: Mapping[str, Asked],
    shown: Display,
    linked: Mapping[str, Asked],
    builder: Builder,
) -> tuple[int, Results]:
    results: Results = {}
    seen: set[tuple[str, int, int, bytes]] = set()
    failures: list[Failed] = []

    async def open_request(
        asked: Asked, builds: Builds, undo: AsyncExitStack, heard: Heard
    ) -> Prepared:
        """Offer what a build needs, and the graphs of the targets that it stands on."""
        local = undo.enter_context(ExitStack())
        prepared = await asyncio.to_thread(prepare, shell, asked, local, builder)
        session = builds.session(prepared.offers, prepared.shared_key)
        prepared.request.session = await undo.enter_async_context(session)
        for name, other in links(asked).items():
            named = prefixed(other, seen, shown.take)
            below = await open_request(linked[other], builds, undo, named)
            for graph in await builds.graph(below.request, named):
                add_input(prepared.request, name, graph)
        return prepared

    async def one(name: str, asked: Asked, builds: Builds) -> None:
        heard = prefixed(name, seen, shown.take) if len(wanted) > 1 else shown.take
        async with AsyncExitStack() as undo:
            try:
                prepared = await open_request(asked, builds, undo, heard)
                request = prepared.request
                LocalStates(shell, builder).keep(request.ref, name, asked)
                answer = await builds.solve(request, heard)
                prepared.layouts.finish(answer.exporter_response)
            except Failed as failure:
                failures.append(failure)
                return
            ref = f"{builder.name}/{builder.node}/{request.ref}"
            results[name] = {**answer.exporter_response, "buildx.build.ref": ref}

    try:
        async with _showing(shown):
            place = builder.place(shell)
            async with Builds(place).connected() as builds, asyncio.TaskGroup() as tasks:
                for name, asked in wanted.items():
                    tasks.create_task(one(name, asked, builds))
    except* Exception as errors:
        error: BaseException | None = first_of(errors)
    else:
        error = None
    if error is not None:
        raise error
    for failure in failures[:1]:
        return shell.report(told(failure)), results
    return 0, results


def add_input(request: pb.SolveRequest, name: str, graph: Graph) -> None:
    """Have a graph be a build's context of that name, for its platform if it has one."""
    key = f"{name}::{graph.platform}" if graph.platform else name
    said = base64.b64encode(graph.config).decode()
    request.frontend_attrs[f"context:{key}"] = f"input:{key}"
    request.frontend_attrs[f"input-metadata:{key}"] = json.dumps({CONFIG: said})
    request.frontend_inputs[key].MergeFrom(graph.definition)


def progress_mode(shell: Shell, asked: str) -> str:
    """Return how progress is shown: what a flag says, else the environment."""
    mode = asked
    if mode == "auto":
        mode = shell.environment.get("BUILDKIT_PROGRESS", "") or "auto"
    if mode not in MODES:
        raise InvalidRequest(f"invalid progress mode {mode}")
    return mode


@asynccontextmanager
async def _showing(shown: Display) -> AsyncIterator[None]:
    """Show that time goes by while the block runs, and then what it has come to."""
    ticking = asyncio.ensure_future(tick(shown))
    try:
        yield
    except asyncio.CancelledError:
        shown.interrupt(time.time())
        raise
    finally:
        ticking.cancel()
        shown.finish()


async def tick(shown: Display) -> None:
    """Show that time goes by, until cancelled."""
    while True:
        await asyncio.sleep(EVERY)
        shown.tick()


def image_id(result: Mapping[str, str]) -> str:
    """Return what an image is called, empty where none was made."""
    return result.get("containerimage.digest", "")


def write_file(path: str, text: str, what: str = "") -> None:
    """Write a file of the caller's choice."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidRequest(f"{what}open {path}: {reason}") from None
