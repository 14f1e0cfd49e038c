"""A build's trace: a span for the whole, for each step, and for each part of a step.

They are kept as BuildKit keeps OpenTelemetry's spans: JSON objects one after the other, which
docker buildx and Docker Desktop read. Names of spans follow from the build and its steps, so that
a trace is the same whenever it is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from boxship.build.progress import PartState, Told, VertexState
from boxship.lib import moments
from boxship.spec.digest import Digest

TRACE: Final = "application/vnd.buildkit.otlp.json.v0"
INTERNAL: Final = 1
SERVER: Final = 2
MOST: Final = 5000  # parts that are told of


@dataclass(frozen=True, slots=True)
class Caller:
    """The span that a call belongs to: a client's, in hexadecimal."""

    trace: str
    span: str


@dataclass(frozen=True, slots=True)
class Whole:
    """The build that the steps belong to, and who asked for it; times in nanoseconds."""

    ref: str
    began: int
    ended: int
    steps: int
    error: str = ""
    caller: Caller | None = None


def written(whole: Whole, told: Sequence[Told]) -> bytes:
    """Return a build's spans as bytes."""
    spans = "\n".join(json.dumps(span, ensure_ascii=False) for span in _spans(whole, told))
    return (spans + "\n").encode("utf-8", "surrogateescape")


def _spans(whole: Whole, told: Sequence[Told]) -> Iterator[dict[str, Any]]:
    steps: dict[Digest, VertexState] = {}
    parts: dict[tuple[Digest, str], PartState] = {}
    for one in told:
        match one:
            case VertexState():
                steps[one.digest] = one
            case PartState() if len(parts) < MOST or (one.vertex, one.id) in parts:
                parts[one.vertex, one.id] = one
            case _:
                pass
    root = _id(whole.ref, 8)
    begun = [step for step in steps.values() if step.started]
    yield _span(
        whole, "moby.buildkit.v1.Control/Solve", root, "", whole.began, whole.ended,
        {"ref": whole.ref, "steps": whole.steps}, whole.error, children=len(begun),
    )  # fmt: skip
    inner: dict[Digest, list[PartState]] = {}
    for part in parts.values():
        if part.started and part.vertex in steps:
            inner.setdefault(part.vertex, []).append(part)
    for step in begun:
        own = _id(f"{whole.ref} {step.digest}", 8)
        ended = step.completed or whole.ended
        about: dict[str, str | int | bool] = {"vertex": str(step.digest), "cached": step.cached}
        below = inner.get(step.digest, [])
        yield _span(
            whole, step.name, own, root, step.started, ended, about, step.error,
            children=len(below),
        )  # fmt: skip
        for part in below:
            named = _id(f"{whole.ref} {step.digest} {part.id}", 8)
            sizes = {"current": part.current, "total": part.total} if part.total else {}
            name = part.name or part.id
            yield _span(whole, name, named, own, part.started, part.completed or ended, sizes)


def _span(
    whole: Whole,
    name: str,
    id: str,
    parent: str,
    started: int,
    ended: int,
    about: Mapping[str, str | int | bool],
    error: str = "",
    *,
    children: int = 0,
) -> dict[str, Any]:
    caller = whole.caller
    trace = caller.trace if caller else _id(f"trace of {whole.ref}", 16)
    above = context(trace, parent)
    if not parent:
        above = {**context(trace, caller.span), "Remote": True} if caller else context()
    return {
        "Name": name,
        "SpanContext": context(trace, id),
        "Parent": above,
        "SpanKind": INTERNAL if parent else SERVER,
        "StartTime": moments.show(started),
        "EndTime": moments.show(max(started, ended)),
        "Attributes": [_attribute(key, value) for key, value in about.items()],
        "Events": None,
        "Links": None,
        "Status": {"Code": "Error" if error else "Unset", "Description": error},
        "DroppedAttributes": 0,
        "DroppedEvents": 0,
        "DroppedLinks": 0,
        "ChildSpanCount": children,
        "Resource": [_attribute("service.name", "boxshipd")],
        "InstrumentationLibrary": {"Name": "", "Version": "", "SchemaURL": ""},
    }


def context(trace: str = "", span: str = "") -> dict[str, Any]:
    """Return what names a span, or no span."""
    return {
        "TraceID": trace or "0" * 32,
        "SpanID": span or "0" * 16,
        "TraceFlags": "01" if trace else "00",
        "TraceState": "",
        "Remote": False,
    }


def _attribute(key: str, value: str | int | bool) -> dict[str, Any]:
    kind = "BOOL" if isinstance(value, bool) else "INT64" if isinstance(value, int) else "STRING"
    return {"Key": key, "Value": {"Type": kind, "Value": value}}


def _id(of: str, size: int) -> str:
    return hashlib.sha256(of.encode("utf-8", "surrogatepass")).hexdigest()[: 2 * size]
