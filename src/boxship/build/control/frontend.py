"""The Dockerfile frontend as clients ask for it: the file and its `.dockerignore` are fetched."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

from boxship.build import remote
from boxship.build.control import attrs, llb
from boxship.build.control.attrs import Asked
from boxship.build.control.needs import Builder
from boxship.build.dockerfile import contexts, directives, include
from boxship.build.dockerfile.convert import EPOCH
from boxship.build.dockerfile.parse import SIZE_LIMIT, decode
from boxship.build.needs import Few
from boxship.build.needs import Pipe as Coming
from boxship.build.ops import About, Place, Ref, Source, Vertex
from boxship.build.policy import NOBODY, BadPolicy, Judges
from boxship.build.progress import PartState, Report, VertexState
from boxship.build.request import BuildRequest, Dockerfile
from boxship.build.session.client import Client
from boxship.build.session.sessions import Sessions
from boxship.build.uploads import Uploads
from boxship.errors import BoxshipError, InvalidRequest, NotFound, NotSupported
from boxship.kernel import paths
from boxship.lib import ignore
from boxship.lib.finishing import beside
from boxship.lib.pipe import Abandoned, Pipe
from boxship.lib.urls import without_login
from boxship.spec.buildkit import solver_pb2 as solver
from boxship.spec.digest import Digest
from boxship.spec.platform import Platform

OURS: Final = "dockerfile.v0"
GATEWAY: Final = "gateway.v0"
OUR_IMAGES: Final = ("docker/dockerfile", "docker.io/docker/dockerfile")
INCLUDED: Final = 1000  # files
UPLOAD: Final = "http://buildkit-session/"
LOCAL: Final = "local://"
CONTEXT_INPUT: Final = "context"  # results that stand for the client's folders
DOCKERFILE_INPUT: Final = "dockerfile"
SYNTAX: Final = f"{attrs.ARG}BUILDKIT_SYNTAX"


def image_of(frontend: str, options: Mapping[str, str]) -> str | None:
    """Return the image that is asked for as the front end, None for our own."""
    if frontend == OURS:
        return None
    if frontend != GATEWAY:
        raise NotSupported(f"the frontend {frontend[:200]} is not known to this builder")
    if not (source := options.get("source", "")):
        raise InvalidRequest("no source specified for gateway")
    return None if _means_ours(source, options) else source


def _means_ours(image: str, options: Mapping[str, str]) -> bool:
    """Whether an image's work is done by our own front end."""
    name = image.partition("@")[0]
    if not any(name == one or name.startswith(f"{one}:") for one in OUR_IMAGES):
        return False
    named = {k.removeprefix(attrs.CONTEXT) for k in options if k.startswith(attrs.CONTEXT)}
    return contexts.normal(image) not in {contexts.normal(one.partition("::")[0]) for one in named}


def with_inputs(request: BuildRequest, given: Mapping[str, solver.Definition]) -> BuildRequest:
    """Return the request with results of other builds, and the clients that they came from."""
    inputs = {name: llb.read(one).root for name, one in given.items()}
    sessions = dict.fromkeys((*request.sessions, *llb.sessions_of(*inputs.values())))
    return replace(request, inputs=inputs, sessions=tuple(sessions))


@dataclass(frozen=True, slots=True)
class Loaded:
    """A request with its Dockerfile, and the files that failures may show."""

    asked: Asked
    request: BuildRequest
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Forwarded:
    """A file that asks for another front end: its image, all that it says, and where.

    place: None where not the file said so, but the client.
    """

    image: str
    cmdline: str
    place: Place | None
    files: Mapping[str, bytes]


class Frontend:
    """Turns the options of a client into a request."""

    def __init__(
        self, builder: Builder, sessions: Sessions, uploads: Uploads, host: Platform
    ) -> None:
        self._builder = builder
        self._sessions = sessions
        self._uploads = uploads
        self._host = host

    async def load(
        self,
        options: Mapping[str, str],
        blank: BuildRequest,
        report: Report,
        undo: AsyncExitStack,
    ) -> Loaded | Forwarded:
        """Return what is asked, by whom `blank` says, or which front end is.

        A context that has to be unpacked lives as long as `undo`.
        """
        asked = attrs.read(options, self._host)
        sessions = blank.sessions
        request = replace(
            asked.request,
            ref=blank.ref,
            sessions=sessions,
            entitlements=blank.entitlements,
            judges=blank.judges,
            inputs=blank.inputs,
        )
        request = await self._dated(request, report)
        if request.context.startswith(UPLOAD):
            request = replace(
                request, context=await self._unpacked(request.context, sessions, undo)
            )
        elif remote.is_file(request.context):
            asked, request = await self._fetched(asked, request, report, undo)
        local = request.context.startswith(LOCAL)
        if local and (given := _given(request, options)):
            name, text, patterns = await self._from_input(asked, given, request, report)
        elif local or "dockerfilekey" in options:
            name, text, patterns = await self._from_client(asked, request, report, local=local)
        else:
            name, text, patterns = await self._from_context(asked, request, report)
        if (forwarded := _forwarded(options, name, text)) is not None:
            return forwarded
        excludes = tuple(ignore.read(patterns)) if patterns else ()
        dockerfile = Dockerfile(
            text,
            name,
            left_out=ignore.Matcher(excludes) if excludes else None,
            include=await self._included(asked, request, text, report) if local else None,
        )
        named = await self._named_excludes(request, report)
        request = replace(request, frontend=dockerfile, excludes=excludes, named_excludes=named)
        request = attrs.with_inline_cache(request)
        return Loaded(asked, request, {name: text})

    async def _dated(self, request: BuildRequest, report: Report) -> BuildRequest:
        """Take the time of the context where that is what is asked for; a folder has none."""
        if request.build_args.get(EPOCH) != attrs.OF_CONTEXT:
            return request
        args = {name: said for name, said in request.build_args.items() if name != EPOCH}
        date = await remote.date_of(request.context, args, self._builder, request, report)
        if date is not None:
            args[EPOCH] = str(date)
        return replace(request, build_args=args, source_date_epoch=date)

    async def _unpacked(self, url: str, sessions: Sequence[str], undo: AsyncExitStack) -> str:
        """Take the archive that the client sends as its context."""
        client = await self._sessions.find(next(iter(sessions), ""))
        pipe = await client.pull("/" + url.removeprefix(UPLOAD))
        archive = Pipe()
        try:
            async with beside(_feed(pipe, archive)):
                upload = await self._uploads.take(archive)
        finally:
            await pipe.close()
        undo.push_async_callback(upload.give_back)
        return upload.identifier

    async def _fetched(
        self, asked: Asked, request: BuildRequest, report: Report, undo: AsyncExitStack
    ) -> tuple[Asked, BuildRequest]:
        """Take a file of the web as the context: an archive, or a Dockerfile and no more."""
        upload = await remote.fetch_file(
            request.context, self._uploads, self._builder, request, report
        )
        undo.push_async_callback(upload.give_back)
        if upload.is_alone:
            asked = replace(asked, filename=attrs.DEFAULT_NAME)
        return asked, replace(request, context=upload.identifier)

    async def _from_client(
        self, asked: Asked, request: BuildRequest, report: Report, *, local: bool
    ) -> tuple[str, bytes, bytes | None]:
        """Fetch from the folders that the client offers."""
        client = await self._sessions.find(next(iter(request.sessions), ""))
        name = asked.filename
        title = f"[internal] load build definition from {name}"
        wanted = [name, ignore.file_for(name)]
        if name == attrs.DEFAULT_NAME:
            wanted.append(name.lower())
        async with AsyncExitStack() as undo:
            coming = None
            if local and request.judges == NOBODY:  # nobody has to be asked before
                ignoring = client.few(asked.context_name, [ignore.NAME], ignore.SIZE_LIMIT)
                coming = await undo.enter_async_context(beside(ignoring))
            async with told(report, request.ref, title) as part:
                files = await _fetch(client, request.judges, asked.dockerfile_name, wanted, part)
                text = files.read(name, SIZE_LIMIT)
                if text is None and name == attrs.DEFAULT_NAME:
                    text = files.read(name.lower(), SIZE_LIMIT)
                if text is None:
                    raise NotFound(
                        f"failed to read dockerfile: open {name}: no such file or directory"
                    )
            patterns = files.read(ignore.file_for(name), ignore.SIZE_LIMIT)
            if patterns is None and local:
                folder = asked.context_name
                patterns = await self._ignore_file(client, folder, request, report, coming=coming)
        return name, text, patterns

    async def _from_input(
        self, asked: Asked, given: Ref, request: BuildRequest, report: Report
    ) -> tuple[str, bytes, bytes | None]:
        """Read in a result that another front end has given for the Dockerfile's folder."""
        async with self._builder.opened(given, request, report) as folder:
            text = await asyncio.to_thread(read_file, folder, asked.filename, SIZE_LIMIT)
            if text is None:
                raise NotFound(
                    f"failed to read dockerfile: open {asked.filename}: no such file or directory"
                )
            name = ignore.file_for(asked.filename)
            patterns = await asyncio.to_thread(read_file, folder, name, ignore.SIZE_LIMIT)
        if patterns is None and CONTEXT_INPUT not in request.inputs:
            client = await self._sessions.find(next(iter(request.sessions), ""))
            patterns = await self._ignore_file(client, asked.context_name, request, report)
        return asked.filename, text, patterns

    async def _included(
        self, asked: Asked, request: BuildRequest, text: bytes, report: Report
    ) -> include.Read | None:
        """Fetch the files of the context that the Dockerfile includes, and those include."""
        wanted = include.named(text)
        if not wanted:
            return None
        client = await self._sessions.find(next(iter(request.sessions), ""))
        found: dict[str, bytes | None] = {}
        async with told(report, request.ref, "[internal] load included files") as part:
            while wanted and len(found) < INCLUDED:
                followed = [path.lstrip("/") for path in wanted]
                files = await _fetch(client, request.judges, asked.context_name, followed, part)
                read = {path: files.read(path, SIZE_LIMIT) for path in wanted}
                found |= read
                inner = [include.named(data, nested=True) for data in read.values() if data]
                wanted = [path for paths in inner for path in paths if path not in found]
        return found.get

    async def _named_excludes(
        self, request: BuildRequest, report: Report
    ) -> dict[str, tuple[str, ...]]:
        """Return what `.dockerignore` leaves out of named contexts that are client's folders."""
        named = {
            said.removeprefix("local:").removeprefix("//"): name
            for name, said in request.named_contexts.items()
            if said.startswith("local:")
        }
        found: dict[str, tuple[str, ...]] = {}
        for folder, name in named.items():
            client = await self._sessions.find(next(iter(request.sessions), ""))
            title = f"[context {name}] load .dockerignore"
            patterns = await self._ignore_file(client, folder, request, report, title)
            found[folder] = tuple(ignore.read(patterns or b""))
        return found

    async def _ignore_file(
        self,
        client: Client,
        folder: str,
        request: BuildRequest,
        report: Report,
        title: str = "[internal] load .dockerignore",
        coming: Awaitable[Few] | None = None,
    ) -> bytes | None:
        async with told(report, request.ref, title) as part:
            files = await _fetch(client, request.judges, folder, [ignore.NAME], part, coming)
        return files.read(ignore.NAME, ignore.SIZE_LIMIT)

    async def _from_context(
        self, asked: Asked, request: BuildRequest, report: Report
    ) -> tuple[str, bytes, bytes | None]:
        """Read in a context that does not come from the client."""
        source = remote.repository_of(request.context, request.build_args)
        title = f"[internal] load git source {without_login(request.context)}"
        about = About(name=title if source else remote.LOADING)
        ref = Ref(Vertex(source or Source(request.context), about=about))
        async with self._builder.opened(ref, request, report) as folder:
            names = [asked.filename]
            if asked.filename == attrs.DEFAULT_NAME:
                names.append(asked.filename.lower())
            for name in names:
                text = await asyncio.to_thread(read_file, folder, name, SIZE_LIMIT)
                if text is not None:
                    break
            else:
                raise NotFound(
                    f"failed to read dockerfile: open {names[0]}: no such file or directory"
                )
            for ignoring in (ignore.file_for(asked.filename), ignore.NAME):
                patterns = await asyncio.to_thread(read_file, folder, ignoring, ignore.SIZE_LIMIT)
                if patterns is not None:
                    break
        return asked.filename, text, patterns


def _given(request: BuildRequest, options: Mapping[str, str]) -> Ref | None:
    """Return the result that stands for the Dockerfile's folder."""
    return None if "dockerfilekey" in options else request.inputs.get(DOCKERFILE_INPUT)


def _forwarded(options: Mapping[str, str], name: str, text: bytes) -> Forwarded | None:
    """Return the other front end that a file, or its client, asks for."""
    if "cmdline" in options:  # it was asked for, and has asked for this one
        return None
    if said := options.get(SYNTAX, "").strip():
        image, place = said.partition(" ")[0], None
    elif found := directives.syntax_of(decode(text)):
        image, said, place = found
    else:
        return None
    if _means_ours(image, options):
        return None
    return Forwarded(image, said, place, {name: text})


async def _feed(coming: Coming, archive: Pipe) -> None:
    """Hand what a client sends over to a thread."""
    try:
        while piece := await coming.read():
            if not archive.offer(piece):
                await asyncio.to_thread(archive.wait)
    except Abandoned:
        return  # the thread has failed, and says why
    except BaseException as error:
        archive.end(error)
        raise
    archive.end()


def read_file(folder: str, name: str, limit: int) -> bytes | None:
    """Return a file's content; no link leads out of the folder."""
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        data = paths.read_file_in_root(root, name.lstrip("/") or ".", limit + 1)
    finally:
        os.close(root)
    if data is not None and len(data) > limit:
        raise InvalidRequest(f"{name} is larger than {limit} bytes")
    return data


class Step:
    """A vertex of the front end's own, and the transfer that is part of it."""

    def __init__(self, report: Report, vertex: Digest) -> None:
        self._report = report
        self._vertex = vertex
        self._began = time.time_ns()

    def moved(self, name: str, size: int, *, completed: bool = False) -> None:
        """Tell how far the transfer is."""
        now = time.time_ns()
        self._report(
            PartState(
                self._vertex,
                name,
                current=size,
                at=now,
                started=self._began,
                completed=now if completed else 0,
            )
        )


@asynccontextmanager
async def told(report: Report, ref: str, title: str) -> AsyncIterator[Step]:
    """Show a step of the front end's own, as long as the block takes."""
    digest = Digest("sha256:" + hashlib.sha256(f"{ref}\0{title}".encode()).hexdigest())
    began = time.time_ns()
    report(VertexState(digest, title, started=began))
    try:
        yield Step(report, digest)
    except BoxshipError as error:
        report(
            VertexState(digest, title, started=began, completed=time.time_ns(), error=str(error))
        )
        raise
    report(VertexState(digest, title, started=began, completed=time.time_ns()))


async def _fetch(
    client: Client,
    judges: Judges,
    name: str,
    wanted: Sequence[str],
    step: Step,
    coming: Awaitable[Few] | None = None,
) -> Few:
    """Bring files of the client's folder `name` here, which no policy exchanges for another.

    They may be `coming` already.
    """
    source = Source(LOCAL + name)
    found = await judges.admitted(source, None, "error evaluating the source policy")
    if found.identifier != source.identifier:
        raise BadPolicy(f"{source.identifier[:200]} cannot be replaced")
    files = await (coming or client.few(name, wanted, ignore.SIZE_LIMIT))
    step.moved(f"transferring {name}:", files.size, completed=True)
    return files
