"""One build of the classic door: a context in the body, the classic builder's words for answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Final

from boxship.api import asked as asking
from boxship.api import progress
from boxship.api.building import Tools
from boxship.api.progress import Say
from boxship.api.render.classic import Teller
from boxship.api.render.numbers import Numbers
from boxship.api.routing import Call
from boxship.build.dockerfile.convert import Converted
from boxship.build.dockerfile.lint import NO_EMPTY_CONTINUATION
from boxship.build.dockerfile.parse import SIZE_LIMIT
from boxship.build.errors import BuildFailed, NoSuchFile, ProcessFailed, ProcessNotRun
from boxship.build.files.select import WILD
from boxship.build.intermediate import Between
from boxship.build.progress import Told
from boxship.build.remote import fetch
from boxship.build.request import Built, Dockerfile
from boxship.build.uploads import Arrived, Upload, made
from boxship.errors import BoxshipError
from boxship.lib.ignore import Matcher
from boxship.lib.mailbox import Mailbox
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest
from boxship.spec.platform import Platform

EMPTY_LINES: Final = "Empty continuation lines will become errors in a future release.\n"
IN_CONTEXT: Final = "file not found in build context or excluded by .dockerignore: "


@dataclass(frozen=True, slots=True)
class Context:
    """What came to be built, and the Dockerfile in it."""

    upload: Upload
    name: str
    text: bytes
    left_out: Matcher | None


class ClassicBuild:
    """One build of the classic door; InvalidRequest where what is asked makes no sense."""

    def __init__(self, call: Call, host: Platform, tools: Tools, numbers: Numbers) -> None:
        self._numbers = numbers
        self._call = call
        self._asked = asking.read(call, host)
        self._builder = tools.builder
        self._intermediates = tools.intermediates
        self._host = host
        self._uploads = tools.uploads
        self._converted: Converted | None = None
        self._said = False

    @property
    def id(self) -> str:
        """The number by which it can be cancelled."""
        return self._asked.id

    async def perform(self, say: Say) -> None:
        """Take the context, build, and tell of it; what fails late is the last message."""
        held = progress.Held(say)

        def tell(message: Mapping[str, Any]) -> None:
            if self._asked.quiet:
                held.keep(message)
            else:
                self._said = True
                say(message)

        async with AsyncExitStack() as undo:
            context = await self._context()
            undo.push_async_callback(context.upload.give_back)
            try:
                built = await self._build(context, tell)
            except BoxshipError as error:
                if not held.tell() and not self._said:
                    raise
                say(self._failure(error))
                return
        self._finish(built, say, tell)

    async def _context(self) -> Context:
        """Take the context, from the request's body or from where it says."""
        if self._asked.remote not in ("", "client-session"):
            async for _ in self._call.stream():
                pass
            upload = await fetch(self._asked.remote, self._uploads, self._builder)
            return await made(lambda stop: self._looked_into(upload), _remove)
        async with progress.body(self._call) as pieces:
            taken = await made(lambda stop: self._taken(pieces), _remove)
        if isinstance(taken, Context):
            return taken
        return await made(lambda stop: self._unpacked(taken, stop), _remove)  # this takes its time

    def _taken(self, pieces: Iterable[bytes]) -> Context | Arrived:
        """Take an archive in; it is a context unless it has to be unpacked."""
        arrived = self._uploads.arrived(pieces)
        return arrived if arrived[0] is None else self._unpacked(arrived, Event())

    def _unpacked(self, arrived: Arrived, stop: Event) -> Context:
        return self._looked_into(self._uploads.made_of(arrived, stop))

    def _looked_into(self, upload: Upload) -> Context:
        """Find the Dockerfile; nothing is left of a context that has none."""
        try:
            name, text = upload.dockerfile(self._asked.dockerfile)
            return Context(upload, name, text, upload.left_out(name))
        except BaseException:
            upload.remove()
            raise

    async def _build(self, context: Context, say: Say) -> Built:
        teller = Teller(say, self._numbers, remove=self._asked.remove)
        heard: Mailbox[Told] = Mailbox(teller.tell)
        found: dict[Digest, ChainId | None] = {}

        def converted(found: Converted) -> None:
            self._converted = found
            for message in _warnings(found):
                say({"stream": message})
            teller.begin(found.steps)

        upload = context.upload
        dockerfile = Dockerfile(
            context.text,
            context.name,
            left_out=context.left_out,
            classic=True,
            told=converted,
            include=lambda path: upload.read(path, SIZE_LIMIT),
            solved=found.update,
        )
        request = replace(self._asked.request, frontend=dockerfile, context=upload.identifier)
        try:
            built = await self._builder.build(request, heard.put)
            heard.flush()
            teller.end(built.image.digest.short if built.image else "")
        except BoxshipError:
            if self._asked.remove_failed:
                heard.flush()
                teller.remove()
            raise
        finally:
            self._keep(teller.numbers, found)
        return built

    def _keep(self, numbers: Mapping[int, str], layers: Mapping[Digest, ChainId | None]) -> None:
        """Remember what the numbers of the steps stand for, as far as it is known."""
        steps = self._converted.steps if self._converted else ()
        platform = next(iter(self._asked.request.platforms), self._host)
        chain: ChainId | None = None
        known = False
        for at, step in enumerate(steps):
            if step.is_from:
                known = not step.vertices  # of nothing, there is nothing to know
                chain = None
            if step.vertices:
                known = step.vertices[-1] in layers
                chain = layers.get(step.vertices[-1])
            if known and step.moment is not None and at in numbers:
                between = Between(step.moment, chain, platform)
                self._intermediates.keep(numbers[at], between)

    def _finish(self, built: Built, say: Say, tell: Say) -> None:
        id = built.image.digest if built.image else None
        if id and not self._asked.quiet:
            tell({"aux": {"ID": str(id)}})
        if self._converted is not None and self._converted.unused:
            names = " ".join(self._converted.unused)
            tell({"stream": f"[Warning] One or more build-args [{names}] were not consumed\n"})
        if id is None:
            return
        if self._asked.quiet:
            say({"stream": f"{id}\n"})
            return
        tell({"stream": f"Successfully built {id.short}\n"})
        for name in self._asked.request.tags:
            tell({"stream": f"Successfully tagged {name}\n"})

    def _failure(self, error: BoxshipError) -> Mapping[str, Any]:
        """Return the last message of a build that failed, in the classic builder's words."""
        text, code = str(error), None
        cause = _first_cause(error)
        if isinstance(cause, ProcessFailed):
            code = cause.code
            said = f"The command '{cause.command}' returned a non-zero code: {code}"
            text = f"{said}{cause.hint}"
        elif isinstance(cause, ProcessNotRun):
            text = str(cause.cause)
        elif isinstance(cause, NoSuchFile) and isinstance(error, BuildFailed):
            text = self._missing(error, cause)
        detail: dict[str, Any] = {"message": text}
        if code is not None:
            detail["code"] = code
        return {"errorDetail": detail, "error": text}

    def _missing(self, error: BuildFailed, cause: NoSuchFile) -> str:
        steps = self._converted.steps if self._converted else ()
        said = ""
        for step in steps:
            if error.vertex is not None and error.vertex.digest in step.vertices:
                said = step.text
        kind = said.partition(" ")[0].upper() or "COPY"
        path = cause.path.lstrip("/")
        if any(char in path for char in WILD):
            return f"{kind} failed: no source files were specified"
        where = "" if "--from=" in said else IN_CONTEXT
        return f"{kind} failed: {where}stat {path}: file does not exist"


def _remove(taken: Context | Arrived) -> None:
    if isinstance(taken, Context):
        taken.upload.remove()


def _warnings(converted: Converted) -> list[str]:
    """Return the one warning that the classic builder gave of a Dockerfile."""
    found = [f for f in converted.findings if f.rule is NO_EMPTY_CONTINUATION]
    lines = [f"[WARNING]: {one.message} (line {one.places[0].first})\n" for one in found]
    return [*lines, f"[WARNING]: {EMPTY_LINES}"] if lines else []


def _first_cause(error: BaseException) -> BaseException:
    """Return what a failure began with."""
    while error.__cause__ is not None and isinstance(error, BuildFailed):
        error = error.__cause__
    return error
