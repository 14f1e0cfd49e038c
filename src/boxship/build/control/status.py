"""What the solver tells, as BuildKit's status messages; and back, for those who read them."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.timestamp_pb2 import Timestamp

from boxship.build.progress import Output, PartState, Told, VertexState, Warned
from boxship.spec.buildkit import control_pb2 as pb

SECOND = 10**9


def response(told: Iterable[Told]) -> pb.StatusResponse:
    """Return one message that says all of `told`."""
    answer = pb.StatusResponse()
    for one in told:
        match one:
            case VertexState():
                vertex = answer.vertexes.add(
                    digest=str(one.digest),
                    inputs=[str(digest) for digest in one.inputs],
                    name=one.name,
                    cached=one.cached,
                    error=one.error,
                )
                _set(vertex.started, one.started)
                _set(vertex.completed, one.completed)
                if one.group:
                    vertex.progress_group.id = vertex.progress_group.name = one.group
            case PartState():
                part = answer.statuses.add(
                    id=one.id,
                    vertex=str(one.vertex),
                    name=one.name,
                    current=one.current,
                    total=one.total,
                )
                _set(part.timestamp, one.at)
                _set(part.started, one.started)
                _set(part.completed, one.completed)
            case Output():
                line = answer.logs.add(vertex=str(one.vertex), stream=one.stream, msg=one.data)
                _set(line.timestamp, one.at)
            case Warned():
                warning = answer.warnings.add(
                    vertex=str(one.vertex),
                    level=one.level,
                    short=one.short,
                    detail=one.detail,
                    url=one.url,
                )
                if one.file:
                    warning.info.filename = one.file
                    warning.info.data = one.text
                for place in one.places:
                    span = warning.ranges.add()
                    span.start.line, span.end.line = place.first, place.last
    return answer


def stamp(at: int) -> Timestamp:
    """Return nanoseconds since the epoch as a message."""
    return Timestamp(seconds=at // SECOND, nanos=at % SECOND)


def _set(to: Timestamp, at: int) -> None:
    if at:
        to.seconds, to.nanos = at // SECOND, at % SECOND
