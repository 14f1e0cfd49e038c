"""Sources that the client judges itself, one at a time, over its session.

engine                                   client
this is the source                  ─▶
                                    ◀─   what else is known of this image?
this is the source, and that        ─▶
                                    ◀─   allowed | denied, because … | take that instead
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Final

from google.protobuf.message import DecodeError

from boxship.build.control import caps, llbwriting
from boxship.build.control.needs import Builder
from boxship.build.control.sourcemeta import SourceMeta
from boxship.build.needs import ClientSession
from boxship.build.ops import Source
from boxship.build.policy import NOBODY, BadPolicy, SourceDenied
from boxship.build.request import BuildRequest
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.buildkit import gateway_pb2 as gateway
from boxship.spec.buildkit import policysession_pb2 as pb
from boxship.spec.buildkit import solver_pb2 as solver
from boxship.spec.platform import Platform
from boxship.wire.grpc import BadMessage

ROUNDS: Final = 20


class ClientPolicy:
    """Asks a client; fulfils policy.Verifier."""

    def __init__(
        self, client: ClientSession, builder: Builder, blank: BuildRequest, host: Platform
    ) -> None:
        self._client = client
        self._sources = SourceMeta(builder, host)
        self._request = replace(blank, judges=NOBODY)  # a look at a source is not judged again
        self._host = host

    async def __call__(self, source: Source, platform: Platform | None) -> Source:
        """Return the source that the client wants; SourceDenied when it wants none."""
        known = gateway.ResolveSourceMetaResponse(source=_message(source))
        for _ in range(ROUNDS):
            answer = await self._ask(known, platform or self._host)
            match answer.WhichOneof("result"):
                case "request":
                    known = await self._look(answer.request, platform or self._host)
                case "decision":
                    decided = _decided(source, answer.decision)
                    if decided == source:
                        return source
                    source = decided
                    known = gateway.ResolveSourceMetaResponse(source=_message(source))
                case _:
                    raise BadPolicy("the client's policy has not decided")
        raise BadPolicy("too many mutations on a single source: too many operations")

    async def _ask(
        self, known: gateway.ResolveSourceMetaResponse, platform: Platform
    ) -> pb.CheckPolicyResponse:
        asked = pb.CheckPolicyRequest(
            platform=llbwriting.platform_message(platform),
            source=known,
            caps=dict.fromkeys(caps.GATEWAY, True),
        )
        data = await self._client.check_policy(asked.SerializeToString())
        try:
            return pb.CheckPolicyResponse.FromString(data)
        except DecodeError:
            raise BadMessage("the client's policy cannot be read") from None

    async def _look(
        self, asked: gateway.ResolveSourceMetaRequest, platform: Platform
    ) -> gateway.ResolveSourceMetaResponse:
        """Return what else there is to know of a source."""
        if not asked.HasField("platform"):
            asked.platform.CopyFrom(llbwriting.platform_message(platform))
        return await self._sources.source(asked, self._request)


def _decided(source: Source, decision: pb.Decision) -> Source:
    match decision.action:
        case control.ALLOW:
            return source
        case control.CONVERT if decision.HasField("update"):
            update = decision.update
            return Source(update.identifier, tuple(sorted(update.attrs.items())))
        case _:
            action = control.PolicyAction.Name(decision.action)
            why = "; ".join(one.message for one in decision.deny_messages if one.message)
            said = f"source {json.dumps(source.identifier)} not allowed by policy: action {action}"
            raise SourceDenied(f"{said}: {why}" if why else said)


def _message(source: Source) -> solver.SourceOp:
    return solver.SourceOp(identifier=source.identifier, attrs=dict(source.attrs))
