"""What is told of sources before they are used: which image, commit or file they mean now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from boxship.build.control import llb, policies
from boxship.build.control.needs import Builder
from boxship.build.ops import Source
from boxship.build.policy import Policy
from boxship.build.request import BuildRequest
from boxship.build.sources.source import Looked
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.spec.platform import Platform

IMAGE: Final = "docker-image://"
LAYOUT: Final = "oci-layout://"
GIT: Final = "git://"


def with_policies(request: BuildRequest, said: Sequence[control.Policy]) -> BuildRequest:
    """Return a request with the policies that one call brings."""
    more: tuple[Policy, ...] = policies.read(said)
    judges = request.judges
    return replace(request, judges=replace(judges, policies=(*judges.policies, *more)))


class SourceMeta:
    """Answers what clients and frontends ask of sources."""

    def __init__(self, builder: Builder, host: Platform) -> None:
        self._builder = builder
        self._host = host

    async def image(
        self, asked: pb.ResolveImageConfigRequest, request: BuildRequest
    ) -> pb.ResolveImageConfigResponse:
        """Find an image."""
        platform = llb.platform_of(asked.platform) if asked.HasField("platform") else self._host
        request = with_policies(request, asked.source_policies)
        pull = asked.resolve_mode == "pull"
        found = await self._builder.resolve(asked.ref, platform, request, pull=pull)
        return pb.ResolveImageConfigResponse(
            digest=str(found.digest or ""), config=found.config, ref=found.reference
        )

    async def source(
        self, asked: pb.ResolveSourceMetaRequest, request: BuildRequest
    ) -> pb.ResolveSourceMetaResponse:
        """Find any source; a client's folder comes back as it is."""
        if not asked.HasField("source"):
            raise InvalidRequest("source is required")
        platform = llb.platform_of(asked.platform) if asked.HasField("platform") else self._host
        answer = pb.ResolveSourceMetaResponse(source=asked.source)
        name = asked.source.identifier
        if name.startswith((IMAGE, LAYOUT)):
            wanted = pb.ResolveImageConfigRequest(
                ref=name.removeprefix(IMAGE),
                resolve_mode=asked.resolve_mode,
                platform=asked.platform if asked.HasField("platform") else None,
                source_policies=asked.source_policies,
            )
            found = await self.image(wanted, request)
            answer.image.digest = found.digest
            if not asked.image.no_config:
                answer.image.config = found.config
            if found.ref and not found.ref.startswith(LAYOUT):
                pinned = found.ref.partition("@")[0]
                answer.source.identifier = f"{IMAGE}{pinned}" + (
                    f"@{found.digest}" if found.digest else ""
                )
            return answer
        source = Source(name, tuple(sorted(asked.source.attrs.items())))
        request = with_policies(request, asked.source_policies)
        source, looked = await self._builder.look(
            source, platform, request, objects=asked.git.return_object
        )
        answer.source.identifier = source.identifier
        answer.source.attrs.clear()
        answer.source.attrs.update(dict(source.attrs))
        if looked is not None:
            _tell(source, looked, answer)
        return answer


def _tell(source: Source, looked: Looked, to: pb.ResolveSourceMetaResponse) -> None:
    if source.identifier.startswith(GIT):
        to.git.checksum, to.git.ref, to.git.commit_checksum = (
            looked.checksum,
            looked.ref,
            looked.commit,
        )
        to.git.commit_object, to.git.tag_object = looked.objects
        return
    to.http.checksum, to.http.filename = looked.checksum, looked.filename
    if looked.date is not None:
        to.http.last_modified.seconds = looked.date
