"""The image routes."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from boxship.api import credentials, moment, progress
from boxship.api.progress import Say
from boxship.api.query import Filters
from boxship.api.render import images as render
from boxship.api.routing import Call, Reply, Stream, route
from boxship.api.version import ApiVersion
from boxship.distribution import search as searching
from boxship.distribution.pool import Pool
from boxship.errors import InvalidRequest
from boxship.image import bootstrap, fetching
from boxship.image.bootstrap import Host
from boxship.image.images import Images, Loaded, Progress, Wanted
from boxship.image.pull import Pulls
from boxship.image.push import Pushes
from boxship.image.telling import Telling
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

TAR: Final = "application/x-tar"
JSON: Final = {"Content-Type": "application/json"}
INSPECTION: Final = render.Inspection()
LIST_FILTERS: Final = frozenset(
    {"before", "dangling", "label", "label!", "reference", "since", "until"}
)
SEARCH_FILTERS: Final = frozenset({"is-automated", "is-official", "stars"})
PRUNE_FILTERS: Final = frozenset({"dangling", "label", "label!", "until"})
MANY_PLATFORMS_SINCE: Final = ApiVersion(1, 52)
ONE_PLATFORM_GOES_SINCE: Final = ApiVersion(1, 50)
IDENTITY_SINCE: Final = ApiVersion(1, 54)
OLD_FILTER_BELOW: Final = ApiVersion(1, 41)


@route("GET", "/images/json")
async def list_images(call: Call, images: Images) -> Reply:
    filters = call.query.filters()
    filters.only(LIST_FILTERS)
    wanted = _wanted(filters)
    if call.version < OLD_FILTER_BELOW and (pattern := call.query.text("filter")):
        wanted = Wanted(references=(pattern,))
    shared, manifests = call.query.flag("shared-size"), call.query.flag("manifests")
    identity = manifests and call.query.flag("identity") and call.version >= IDENTITY_SINCE

    def found() -> list[Any]:
        return [
            render.summary(images, image, manifests=manifests, shared=shared, identity=identity)
            for image in images.list(wanted)
        ]

    return Reply(document=await asyncio.to_thread(found))


@route("GET", "/images/get")
async def save_many(call: Call, images: Images) -> Stream:
    names = [name for value in call.query.all("names") for name in value.split(",") if name]
    if not names:
        raise InvalidRequest("image name cannot be blank")
    return await _save(call, images, names)


@route("GET", "/images/{name...}/get")
async def save_one(call: Call, images: Images) -> Stream:
    return await _save(call, images, [call.path["name"]])


async def _save(call: Call, images: Images, names: Sequence[str]) -> Stream:
    platforms = _platforms(call)
    archive = await asyncio.to_thread(images.save, names, platforms)
    return Stream(HTTPStatus.OK, progress.drawn(archive), TAR)


@route("POST", "/images/load", streams=True)
async def load(call: Call, images: Images) -> Stream:
    platforms, quiet = _platforms(call), call.query.flag("quiet")

    def work(pieces: Iterable[bytes], say: Say) -> None:
        def report(done: Progress | Loaded) -> None:
            if isinstance(done, Loaded):
                kind = "Loaded image: " if done.name else "Loaded image ID: "
                say({"stream": f"{kind}{done.name or done.id}\n"})
            elif not quiet:
                say(render.layer_progress(done.id, done.status, done.current, done.total))

        images.load(pieces, report, platforms)

    return await _fed(call, work, failures_in_stream=True)


async def _fed(
    call: Call, work: Callable[[Iterable[bytes], Say], None], *, failures_in_stream: bool = False
) -> Stream:
    """Narrate work that reads the request's body."""
    async with progress.body(call) as pieces:
        return await progress.narrated(
            lambda say: work(pieces, say), failures_in_stream=failures_in_stream
        )


@route("POST", "/images/create", streams=True, finishes=False)
async def create(call: Call, images: Images, pulls: Pulls) -> Stream:
    """Import an archive of files, or pull."""
    query = call.query
    platform = _platform(query.text("platform"), images.host)
    if source := query.text("fromSrc"):
        return await _import(call, images, source, platform)
    name = query.text("fromImage")
    if not name:
        raise InvalidRequest("image name cannot be blank")
    reference = _with_tag(Reference.parse(name), query.text("tag"))
    who = credentials.of(call)

    async def work(say: Say) -> None:
        def tell(told: Telling) -> None:
            say(render.told(told))

        if reference.tag or reference.digest:
            await pulls.pull(reference, who, tell, platform)
        else:
            await pulls.pull_all(reference, who, tell, platform)

    return await progress.told(work)


async def _import(call: Call, images: Images, source: str, platform: Platform | None) -> Stream:
    query = call.query
    name = query.text("repo")
    if name:
        name = _with_tag(Reference.parse(name), query.text("tag")).familiar
    changes = query.all("changes")
    message = query.text("message") or f"Imported from {source}"

    def work(pieces: Iterable[bytes], say: Say) -> None:
        image = images.import_(pieces, changes, name, platform, message)
        say({"status": str(image.id)})

    if source == "-":
        return await _fed(call, work)
    return await progress.narrated(lambda say: work(fetching.chunks(source), say))


@route("POST", "/images/bootstrap", since="1.44")
async def make_base(call: Call, images: Images, host: Host) -> Stream:
    """Make a base image from the distribution's packages; no engine but this one has it."""
    kind, suite = call.query.text("kind"), call.query.text("suite")
    what = f"{kind}:{suite}" if suite else kind
    name = call.query.text("tag")

    def work(say: Say) -> None:
        image = bootstrap.bootstrap(images, what, host, lambda text: say({"status": text}))
        if name:
            images.tag(str(image.id), name)
            say({"status": f"Tagged {name}"})
        say({"aux": {"ID": str(image.id)}})

    return await progress.narrated(work)


@route("POST", "/images/prune")
async def prune(call: Call, images: Images) -> Reply:
    filters = call.query.filters()
    filters.only(PRUNE_FILTERS)
    every = not filters.flag("dangling", True)
    wanted = _wanted(filters, dangling=None if every else True)
    gone, freed = await asyncio.to_thread(images.prune, wanted, every=every)
    shown = [render.removed(one) for one in gone]
    return Reply(document={"ImagesDeleted": shown or None, "SpaceReclaimed": freed})


@route("GET", "/images/{name...}/json")
def inspect(call: Call, images: Images) -> Reply:
    platform = _platform(call.query.text("platform"), images.host)
    manifests = call.query.flag("manifests")
    if platform is not None and manifests:
        raise InvalidRequest(
            "conflicting options: manifests and platform options cannot both be set"
        )
    image = images.get(call.path["name"], platform)
    if manifests:
        return Reply(document=render.inspected(images, image, manifests=True))
    return Reply(document=INSPECTION.of(images, image, call.version), headers=JSON)


@route("GET", "/images/{name...}/attestations", since="1.55")
async def attestations(call: Call, images: Images) -> Reply:
    """Return what is attested of an image, for the host or for one platform."""
    asked = call.query.all("platform")
    if len(asked) > 1:
        raise InvalidRequest("only one platform can be asked for")
    platform = _platform(asked[0], images.host) if asked else None
    predicates, whole = call.query.all("type"), call.query.flag("statement")
    name = call.path["name"]
    found = await asyncio.to_thread(images.statements, name, platform, predicates, whole=whole)
    return Reply(document=[render.statement(one) for one in found])


@route("GET", "/images/{name...}/history")
async def history(call: Call, images: Images) -> Reply:
    platform = _platform(call.query.text("platform"), images.host)
    steps = images.history(call.path["name"], platform)
    return Reply(document=[render.step(one) for one in steps])


@route("POST", "/images/{name...}/tag")
async def tag(call: Call, images: Images) -> Reply:
    name = _with_tag(Reference.parse(call.query.text("repo")), call.query.text("tag"))
    await asyncio.to_thread(images.tag, call.path["name"], name.familiar)
    return Reply(HTTPStatus.CREATED)


@route("POST", "/images/{name...}/push", streams=True, finishes=False)
async def push(call: Call, pushes: Pushes, images: Images) -> Stream:
    """Push one tag, or every tag of the repository when none is named."""
    asked = _with_tag(Reference.parse(call.path["name"]), call.query.text("tag"))
    platform = _platform(call.query.text("platform"), images.host)
    who = credentials.of(call)
    async for _ in call.stream():
        pass  # credentials in the body were for engines before 1.0

    async def work(say: Say) -> None:
        def tell(told: Telling) -> None:
            for message in render.pushed(told):
                say(message)

        if asked.tag or asked.digest:
            await pushes.push(asked, who, tell, platform)
        else:
            await pushes.push_all(asked, who, tell, platform)

    return await progress.told(work)


@route("GET", "/images/search")
async def search(call: Call, pool: Pool) -> Reply:
    query = call.query
    filters = query.filters()
    filters.only(SEARCH_FILTERS)
    stars = filters.get("stars")
    wanted = searching.Wanted(
        term=query.text("term"),
        limit=query.integer("limit") or searching.USUAL,
        official=filters.flag("is-official", False) if "is-official" in filters else None,
        automated=filters.flag("is-automated", False) if "is-automated" in filters else None,
        stars=max((_stars(one) for one in stars), default=0),
    )
    found = await searching.search(pool, wanted, credentials.of(call))
    return Reply(document=[render.hit(one) for one in found])


def _stars(text: str) -> int:
    if not text.isdigit():
        raise InvalidRequest(f"invalid filter 'stars={text}'")
    return int(text[:9])


@route("DELETE", "/images/{name...}")
async def remove(call: Call, images: Images) -> Reply:
    force, keep = call.query.flag("force"), call.query.flag("noprune")
    if call.version >= ONE_PLATFORM_GOES_SINCE and (asked := call.query.all("platforms")):
        wanted = [one for text in asked if (one := _platform(text, images.host)) is not None]
        name = call.path["name"]
        gone = await asyncio.to_thread(images.remove_platforms, name, wanted, force=force)
        return Reply(document=[render.removed(one) for one in gone])
    gone = await asyncio.to_thread(images.remove, call.path["name"], force=force, prune=not keep)
    return Reply(document=[render.removed(one) for one in gone])


def _with_tag(name: Reference, tag: str) -> Reference:
    """Put name and tag together, which some clients send apart; the tag may be a digest."""
    if not tag or name.digest is not None:
        return name
    if tag.startswith("sha256:"):
        return Reference.parse(f"{name.familiar_repository}@{tag}")
    return name.with_tag(tag)


def _wanted(filters: Filters, dangling: bool | None = None) -> Wanted:
    now = time.time_ns()
    if "dangling" in filters and dangling is None:
        dangling = filters.flag("dangling", True)
    until = filters.one("until")
    return Wanted(
        dangling=dangling,
        labels=filters.get("label"),
        without_labels=filters.get("label!"),
        before=filters.one("before") or "",
        since=filters.one("since") or "",
        references=filters.get("reference"),
        until=moment.before(until, now) / 1e9 if until else None,
    )


def _platforms(call: Call) -> list[Platform]:
    """Read `platform`, which is a JSON document each time it is given."""
    values = call.query.all("platform")
    if len(values) > 1 and call.version < MANY_PLATFORMS_SINCE:
        raise InvalidRequest(
            "multiple platform parameters are not supported in this API version; "
            "use API version 1.52 or later"
        )
    return [found for value in values if (found := _platform(value)) is not None]


def _platform(text: str, host: Platform | None = None) -> Platform | None:
    """Read a platform in words, or as the JSON document that newer clients send."""
    if not text:
        return None
    if not text.startswith("{"):
        return Platform.parse(text, host)
    try:
        said = json.loads(text)
        words = [said.get(key, "") for key in ("os", "architecture", "variant")]
    except (ValueError, AttributeError):
        raise InvalidRequest(f"failed to parse platform: {text[:100]!r}") from None
    if not all(isinstance(word, str) for word in words) or not words[1]:
        raise InvalidRequest(f"failed to parse platform: {text[:100]!r}")
    return Platform.normal(words[0] or "linux", words[1], words[2])
