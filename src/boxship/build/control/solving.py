"""One solve from beginning to end, whichever door asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

from boxship.build.control import exporters, llb, policies, subrequests
from boxship.build.control.failures import failed
from boxship.build.control.frontend import Frontend, is_ours, with_inputs
from boxship.build.control.gateway import Bridge, blank_text
from boxship.build.control.history import History
from boxship.build.control.jobs import Job, Jobs
from boxship.build.control.needs import Builder
from boxship.build.control.verifying import ClientPolicy
from boxship.build.needs import Sessions
from boxship.build.policy import Judges
from boxship.build.request import BuildRequest, Built, Graph, Target
from boxship.errors import BoxshipError, InvalidRequest
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.platform import Platform


class Solving:
    """Takes solve requests as BuildKit's protocol has them."""

    def __init__(
        self,
        builder: Builder,
        frontend: Frontend,
        jobs: Jobs,
        history: History,
        sessions: Sessions,
        host: Platform,
    ) -> None:
        self.jobs = jobs
        self.history = history
        self._builder = builder
        self._frontend = frontend
        self._sessions = sessions
        self._host = host

    async def solve(self, asked: pb.SolveRequest) -> Built:
        """Build and export; what is told of it goes to the job of the request's name."""
        if not asked.ref or len(asked.ref) > 256:
            raise InvalidRequest("a build needs a name")
        with self.jobs.running(asked.ref) as job:
            entry = self.history.begin(asked, job)
            files: dict[str, bytes] = {}
            try:
                async with AsyncExitStack() as undo:
                    request = await self._request(asked, job, files, undo)
                    if question := asked.frontend_attrs.get("requestid", ""):
                        built = await self._answer(question, request, job)
                    else:
                        built = await self._build(request, asked, job)
            except BaseException as error:
                known = isinstance(error, (BoxshipError, BaseExceptionGroup))
                failure = failed(error, files) if known else None
                if known:
                    await asyncio.sleep(0)  # what was told in threads has its turn first
                await self.history.end(entry, job, error=failure or error)
                if failure is not None:
                    raise failure from error
                raise
            await asyncio.sleep(0)
            await self.history.end(entry, job, built=built)
            return built

    async def _build(self, request: BuildRequest, asked: pb.SolveRequest, job: Job) -> Built:
        if request.frontend == Graph(()):
            return Built()  # the client has asked a question, and has its answer
        return await self._builder.build(self._complete(request, asked), job.report)

    async def _answer(self, question: str, request: BuildRequest, job: Job) -> Built:
        """Answer what is asked of a Dockerfile instead of a build."""
        found = await subrequests.answer(question, request, self._builder, job.report)
        return Built(metadata={key: value.decode() for key, value in found.items()})

    def _complete(self, request: BuildRequest, asked: pb.SolveRequest) -> BuildRequest:
        request = exporters.with_exports(request, exporters.asked_of(asked))
        request = exporters.with_cache(request, asked.cache)
        return replace(request, ref=asked.ref, entitlements=frozenset(asked.entitlements))

    async def _judges(self, asked: pb.SolveRequest, blank: BuildRequest) -> Judges:
        """Return who judges the sources of a build."""
        verifier: ClientPolicy | None = None
        if asked.source_policy_session:
            (client,) = await self._sessions([asked.source_policy_session])
            verifier = ClientPolicy(client, self._builder, blank, self._host)
        return Judges(policies.read([asked.source_policy]), verifier)

    async def _request(
        self, asked: pb.SolveRequest, job: Job, files: dict[str, bytes], undo: AsyncExitStack
    ) -> BuildRequest:
        """Work out what is to be built; `files` are filled as they become known."""
        sessions = (asked.session,) if asked.session else ()
        options: Mapping[str, str] = dict(asked.frontend_attrs)
        blank = BuildRequest(
            frontend=blank_text(),
            ref=asked.ref,
            sessions=sessions,
            entitlements=frozenset(asked.entitlements),
        )
        blank = replace(blank, judges=await self._judges(asked, blank))
        if is_ours(asked.frontend, options):
            loaded = await self._frontend.load(options, blank, job.report, undo)
            files.update(loaded.files)
            return with_inputs(loaded.request, asked.frontend_inputs)
        if asked.definition.ops:
            read = llb.read(asked.definition)
            files.update({name: info.data for name, info in read.files.items()})
            return replace(blank, frontend=Graph((Target(read.root, self._host),)))
        given = asked.frontend_inputs
        bridge = Bridge(job, self._builder, self._frontend, blank, self._host, undo, given)
        bridge.files = files
        job.offer(bridge)
        return await bridge.returned
