"""Status messages as BuildKit's JSON has them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from boxship.spec.buildkit import control_pb2 as pb


def document(told: pb.StatusResponse) -> dict[str, Any]:
    """Return a message as a document."""
    found: dict[str, Any] = {}
    if told.vertexes:
        found["vertexes"] = [_vertex(one) for one in told.vertexes]
    if told.statuses:
        found["statuses"] = [_status(one) for one in told.statuses]
    if told.logs:
        found["logs"] = [
            {
                "vertex": one.vertex,
                "stream": one.stream,
                "data": base64.b64encode(one.msg).decode(),
                "timestamp": one.timestamp.ToJsonString(),
            }
            for one in told.logs
        ]
    if told.warnings:
        found["warnings"] = [
            {
                "vertex": one.vertex,
                "level": one.level,
                "short": base64.b64encode(one.short).decode(),
                "detail": [base64.b64encode(line).decode() for line in one.detail],
                "url": one.url,
            }
            for one in told.warnings
        ]
    return found


def _vertex(one: pb.Vertex) -> dict[str, Any]:
    found: dict[str, Any] = {"digest": one.digest, "name": one.name}
    if one.inputs:
        found["inputs"] = list(one.inputs)
    _times(found, started=one.started, completed=one.completed)
    if one.cached:
        found["cached"] = True
    if one.error:
        found["error"] = one.error
    return found


def _status(one: pb.VertexStatus) -> dict[str, Any]:
    found: dict[str, Any] = {"id": one.id, "vertex": one.vertex, "current": one.current}
    if one.name:
        found["name"] = one.name
    if one.total:
        found["total"] = one.total
    _times(found, timestamp=one.timestamp, started=one.started, completed=one.completed)
    return found


def _times(to: dict[str, Any], **given: Timestamp) -> None:
    for key, at in given.items():
        if at.seconds or at.nanos:
            to[key] = at.ToJsonString()
