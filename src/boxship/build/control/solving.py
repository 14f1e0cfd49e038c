"""One solve from beginning to end, whichever door asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Final

from boxship.build.control import attrs, exporters, llb, policies, subrequests
from boxship.build.control.failures import failed
from boxship.build.control.frontend import Loaded
from boxship.build.control.gateway import Bridge, Means, blank_text
from boxship.build.control.history import History
from boxship.build.control.jobs import Job, Jobs
from boxship.build.control.spans import Caller
from boxship.build.control.verifying import ClientPolicy
from boxship.build.needs import Sessions
from boxship.build.policy import Judges
from boxship.build.request import BuildRequest, Built, Graph, Target
from boxship.errors import BoxshipError, InvalidRequest
from boxship.spec.buildkit import control_pb2 as pb

GENERAL: Final = (
    "attest:",
    "cache-from",
    "cache-imports",
    *(
        f"{attrs.ARG}{name}"
        for name in ("BUILDKIT_ATTEST_", "BUILDKIT_INLINE_CACHE", "SOURCE_DATE_EPOCH")
    ),
)
"""How options begin that the builder heeds, whatever the frontend makes of them."""


class Solving:
    """Takes solve requests as BuildKit's protocol has them."""

    def __init__(
        self,
        means: Means,
        jobs: Jobs,
        history: History,
        sessions: Sessions,
    ) -> None:
        self.jobs = jobs
        self.history = history
        self._means = means
        self._builder = means.builder
        self._sessions = sessions
        self._host = means.host

    async def solve(self, asked: pb.SolveRequest, caller: Caller | None = None) -> Built:
        """Build and export; what is told of it goes to the job of the request's name."""
        if not asked.ref or len(asked.ref) > 256:
            raise InvalidRequest("a build needs a name")
        with self.jobs.running(asked.ref) as job:
            job.caller = caller
            entry = self.history.begin(asked, job)
            files: dict[str, bytes] = {}
            try:
                async with AsyncExitStack() as undo:
                    request = await self._request(asked, job, files, undo)
                    if isinstance(request, Built):
                        built = request
                    elif question := asked.frontend_attrs.get("requestid", ""):
                        built = await self._answer(question, request, job)
                    else:
                        built = await self._build(request, asked, job)
            except BaseException as error:
                known = isinstance(error, (BoxshipError, BaseExceptionGroup))
                failure = failed(error, files) if known else None
                if known:
                    job.flush()
                self.history.end(entry, job, error=failure or error)
                if failure is not None:
                    raise failure from error
                raise
            job.flush()
            self.history.end(entry, job, built=built)
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

    def _completed(self, request: BuildRequest, options: Mapping[str, str]) -> BuildRequest:
        """Return a request with what is done of the options whatever the frontend is."""
        kept = {k: v for k, v in options.items() if k.startswith(GENERAL)}
        said = attrs.read(kept, self._host).request
        return attrs.with_inline_cache(
            replace(
                request,
                build_args={**said.build_args, **request.build_args},
                cache_from=request.cache_from or said.cache_from,
                provenance=request.provenance or said.provenance,
                sbom=request.sbom or said.sbom,
                source_date_epoch=request.source_date_epoch or said.source_date_epoch,
            )
        )

    async def _judges(self, asked: pb.SolveRequest, blank: BuildRequest) -> Judges:
        """Return who judges the sources of a build."""
        verifier: ClientPolicy | None = None
        if asked.source_policy_session:
            (client,) = await self._sessions([asked.source_policy_session])
            verifier = ClientPolicy(client, self._builder, blank, self._host)
        return Judges(policies.read([asked.source_policy]), verifier)

    async def _request(
        self, asked: pb.SolveRequest, job: Job, files: dict[str, bytes], undo: AsyncExitStack
    ) -> BuildRequest | Built:
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
        given = asked.frontend_inputs
        bridge = Bridge(job, self._means, blank, undo, given)
        bridge.files = files
        if asked.frontend:
            loaded = await bridge.begin(asked.frontend, options, given, blank)
            if isinstance(loaded, Loaded):
                return loaded.request
            if "requestid" in options:
                said = loaded.result.metadata.items()
                return Built(metadata={k: v.decode(errors="replace") for k, v in said})
            return self._completed(loaded.returned.result(), options)
        if asked.definition.ops:
            read = llb.read(asked.definition)
            files.update({name: info.data for name, info in read.files.items()})
            return replace(blank, frontend=Graph((Target(read.root, self._host),)))
        job.offer(bridge)
        return self._completed(await bridge.returned, options)
