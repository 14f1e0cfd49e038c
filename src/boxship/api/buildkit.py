"""BuildKit's doors. What they need is loaded when the first client knocks, and not before.

POST /session           the client's connection becomes one on which we call the client
POST /grpc              the client's connection becomes one on which the client calls us
HTTP/2 from its preface the same as /grpc
POST /build?version=2   a build whose files come from a session, or in its body
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from boxship.api.building import Building
from boxship.api.progress import Held, Say
from boxship.errors import BoxshipError, InvalidRequest, Unavailable
from boxship.lib.finishing import beside
from boxship.lib.pipe import Pipe
from boxship.runtime.cdi import Devices
from boxship.spec.platform import Platform
from boxship.transport.upgrade import Upgraded

if TYPE_CHECKING:
    from boxship.api.query import Query
    from boxship.build.control.service import Service
    from boxship.build.control.solving import Solving
    from boxship.build.needs import ClientSession
    from boxship.build.session.sessions import Sessions
    from boxship.build.uploads import Upload

UPLOAD: Final = "upload-request"
UPLOAD_WITHIN: Final = 30.0
REF_SIZE: Final = 16  # bytes of the name of a build whose client has given it none
TRACE: Final = "moby.buildkit.trace"
IMAGE: Final = "moby.image.id"


@dataclass(frozen=True, slots=True)
class Engine:
    """What clients are told of the engine that the doors belong to."""

    host: Platform
    platforms: Sequence[Platform]
    id: str
    hostname: str
    driver: str
    devices: Devices


@dataclass(frozen=True, slots=True)
class _Parts:
    sessions: Sessions
    solving: Solving
    service: Service


@dataclass(frozen=True, slots=True)
class _Archive:
    """A context that is sent by one request and wanted by another, in either order."""

    coming: asyncio.Future[Pipe]
    taken: asyncio.Event = field(default_factory=asyncio.Event)


class Doors:
    """Lets BuildKit's clients in."""

    def __init__(self, building: Building, engine: Engine) -> None:
        self._building = building
        self._engine = engine
        self._loaded: _Parts | None = None
        self._archives: dict[str, _Archive] = {}
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Have all that is needed here: what fails now can still be answered in HTTP's words."""
        await self._parts()

    async def _parts(self) -> _Parts:
        tools = await self._building.tools()
        async with self._turn:
            if self._loaded is None:
                from boxship.build.control.frontend import Frontend
                from boxship.build.control.frontendimages import FrontendImages
                from boxship.build.control.gateway import Means
                from boxship.build.control.history import History
                from boxship.build.control.jobs import Jobs
                from boxship.build.control.kept import Kept
                from boxship.build.control.service import Service
                from boxship.build.control.solving import Solving
                from boxship.build.control.worker import Worker
                from boxship.build.session.sessions import Sessions

                engine, sessions = self._engine, Sessions()
                frontend = Frontend(tools.builder, sessions, tools.uploads, engine.host)
                kept = await asyncio.to_thread(Kept, tools.past)
                history = History(kept, await asyncio.to_thread(kept.load))
                tools.begin("keep records of builds", history.watch())
                worker = Worker(
                    engine.platforms,
                    id=engine.id,
                    hostname=engine.hostname,
                    driver=engine.driver,
                    devices=engine.devices,
                )
                images = FrontendImages(tools.builder, worker.known, engine.host)
                means = Means(tools.builder, frontend, images, engine.host)
                solving = Solving(means, Jobs(), history, sessions)
                service = Service(solving, sessions, tools.builder.cache, tools.blobs, worker)
                self._loaded = _Parts(sessions, solving, service)
        return self._loaded

    async def sessions(self, ids: Sequence[str]) -> Sequence[ClientSession]:
        """Return the clients that are connected; the builder asks this."""
        return await (await self._parts()).sessions(ids)

    async def serve_session(self, upgraded: Upgraded, headers: Mapping[str, str]) -> None:
        """Keep a client for as long as it is connected."""
        many = {name: _values(name, value) for name, value in headers.items()}
        try:
            await (await self._parts()).sessions.serve(upgraded, many)
        except BaseException:
            upgraded.close()
            raise

    def check_session(self, headers: Mapping[str, str]) -> None:
        """Refuse a client that does not say who it is, while it can still be told so."""
        from boxship.build.session.sessions import checked_id

        checked_id({name: (value,) for name, value in headers.items()})

    async def serve_grpc(self, upgraded: Upgraded) -> None:
        """Answer a client's calls for as long as it is connected."""
        from boxship.transport.http2 import Http2

        try:
            service = (await self._parts()).service
        except BaseException:
            upgraded.close()  # who waits for our first words shall not wait for ever
            raise
        connection = Http2(service.serve)
        upgraded.adopt(connection)
        try:
            await connection.wait_closed()
        finally:
            connection.close()

    # POST /build?version=2

    async def build(self, query: Query, body: AsyncIterator[bytes], say: Say) -> None:
        """Build for a client that asks by HTTP, and offers its files by a session.

        One without a session has its context in the body, as for the classic builder.
        """
        id = query.text("buildid")
        if id.startswith(f"{UPLOAD}:"):
            await self._take_archive(id.removeprefix(f"{UPLOAD}:"), body)
            return
        from boxship.api import buildkit_query
        from boxship.build.control import status

        solving = (await self._parts()).solving
        asked = buildkit_query.read(query)
        held = Held(say) if query.flag("q") else None
        tell = held.keep if held else say
        asked.ref = asked.ref or secrets.token_hex(REF_SIZE)
        archive = None
        if not query.text("remote"):
            archive = await self._from_body(body)
        else:
            async for _ in body:
                pass
        if query.text("remote") == UPLOAD:
            archive = await self._unpacked(id)
        if archive is not None:
            asked.frontend_attrs["context"] = archive.identifier
        try:
            solve = asyncio.ensure_future(solving.solve(asked))
            try:
                await asyncio.sleep(0)  # it is under way now, or has failed
                if job := solving.jobs.get(asked.ref):
                    async for told in job.follow():
                        trace = base64.b64encode(status.response(told).SerializeToString())
                        tell({"id": TRACE, "aux": trace.decode()})
                built = await solve
            except BoxshipError:
                if held:
                    held.tell()
                raise
            finally:
                solve.cancel()
                await asyncio.wait([solve])
        finally:
            if archive is not None:
                await archive.give_back()
        if built.image is None:
            return
        if held:
            say({"stream": f"{built.image.digest}\n"})
        else:
            say({"id": IMAGE, "aux": {"ID": str(built.image.digest)}})

    def cancel(self, id: str) -> bool:
        """Stop a build; False where there is none of this name."""
        return self._loaded is not None and self._loaded.solving.jobs.cancel(id)

    def _archive(self, id: str) -> _Archive:
        if id not in self._archives:
            self._archives[id] = _Archive(asyncio.get_running_loop().create_future())
        return self._archives[id]

    async def _take_archive(self, id: str, body: AsyncIterator[bytes]) -> None:
        """Hand the body to the build that waits for it, or will in a moment."""
        from boxship.api.progress import fed

        if not id:
            raise InvalidRequest("an upload needs the number of its build")
        archive = self._archive(id)
        if archive.coming.done():
            raise InvalidRequest(f"the context of build {id[:100]} was sent twice")
        pipe = Pipe()
        archive.coming.set_result(pipe)
        try:
            await fed(body, pipe)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(UPLOAD_WITHIN):
                    await archive.taken.wait()
        finally:
            self._archives.pop(id, None)

    async def _from_body(self, body: AsyncIterator[bytes]) -> Upload:
        from boxship.api.progress import fed

        tools = await self._building.tools()
        pipe = Pipe()
        async with beside(fed(body, pipe)):
            return await tools.uploads.take(pipe)

    async def _unpacked(self, id: str) -> Upload:
        archive = self._archive(id)
        try:
            async with asyncio.timeout(UPLOAD_WITHIN):
                pipe = await asyncio.shield(archive.coming)
        except TimeoutError:
            raise Unavailable("the build's context was not sent") from None
        finally:
            archive.taken.set()
            self._archives.pop(id, None)
        tools = await self._building.tools()
        return await tools.uploads.take(pipe)


def _values(name: str, value: str) -> tuple[str, ...]:
    """Return a header's values; only the list of methods is one of several."""
    if name == "x-docker-expose-session-grpc-method":
        return tuple(part.strip() for part in value.split(","))
    return (value,)
