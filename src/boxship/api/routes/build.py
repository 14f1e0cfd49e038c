"""`POST /build`: the classic door, and what concerns all builds."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from boxship.api import progress
from boxship.api.building import Building
from boxship.api.buildkit import Doors
from boxship.api.builds import Builds
from boxship.api.progress import Say
from boxship.api.routing import Answer, Call, Reply, route
from boxship.errors import InvalidRequest
from boxship.image.images import Images

CLASSIC: Final = ("", "1")
BUILDKIT: Final = "2"
WITHOUT_EFFECT: Final = ("label", "label!")  # a prune of the whole system tells all of them


@route("POST", "/build", streams=True, finishes=False)
async def build(
    call: Call, building: Building, images: Images, builds: Builds, doors: Doors
) -> Answer:
    version = call.query.text("version")
    if version == BUILDKIT:
        return await _by_session(call, doors, builds)
    if version not in CLASSIC:
        raise InvalidRequest(f'invalid version "{version[:100]}"')
    tools = await building.tools()
    from boxship.api.classic import ClassicBuild

    task = ClassicBuild(call, images.host, tools, builds.numbers)

    async def work(say: Say) -> None:
        with builds.counted(), builds.named(task.id):
            await task.perform(say)

    return await progress.told(work)


@route("POST", "/build/cancel")
def cancel(call: Call, builds: Builds, doors: Doors) -> Reply:
    id = call.query.text("id")
    if not id:
        raise InvalidRequest("build ID not provided")
    if not doors.cancel(id):
        builds.cancel(id)
    return Reply(HTTPStatus.NO_CONTENT)


async def _by_session(call: Call, doors: Doors, builds: Builds) -> Answer:
    """Build as BuildKit does; an upload of a context for such a build has an empty answer."""
    if call.query.text("buildid").startswith("upload-request:"):
        await doors.build(call.query, call.stream(), lambda message: None)
        return Reply()

    async def work(say: Say) -> None:
        with builds.counted():
            await doors.build(call.query, call.stream(), say)

    return await progress.told(work)


@route("POST", "/build/prune")
async def prune(call: Call, building: Building) -> Reply:
    query = call.query
    tools = await building.tools()
    filters = {key: said for key, said in query.filters().items() if key not in WITHOUT_EFFECT}
    gone = await tools.builder.cache.prune(
        filters,
        everything=query.flag("all"),
        keep=query.integer("reserved-space") or query.integer("keep-storage") or 0,
        most=query.integer("max-used-space") or 0,
        free=query.integer("min-free-space") or 0,
    )
    freed = sum(one.size for one in gone if not one.shared)
    return Reply(
        document={"CachesDeleted": [one.id for one in gone] or None, "SpaceReclaimed": freed}
    )
