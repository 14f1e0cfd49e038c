"""What a build did when: the spans of its record, as Jaeger's JSON or drawn in lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.building.remembered import Records, one_of, records_of
from boxship.errors import InvalidRequest, NotFound
from boxship.lib import moments
from boxship.lib.words import visible
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

SERVICE: Final = "service.name"
NOBODY: Final = "0" * 16
KINDS: Final = {2: "server", 3: "client", 4: "producer", 5: "consumer"}
TYPES: Final = {"STRING": "string", "BOOL": "bool", "INT64": "int64", "FLOAT64": "float64"}
BAR: Final = 40
DEEPEST: Final = 20
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a trace; times in nanoseconds."""

    said: Document
    id: str
    parent: str
    started: int
    ended: int

    @property
    def name(self) -> str:
        return str(self.said.get("Name", ""))


def trace(shell: Shell, records: Records, ref: str, given: Mapping[str, Any]) -> int:
    """Print a build's trace, drawn on a terminal and elsewhere as Jaeger's JSON; or serve it."""
    if given["compare"]:
        return _compare(shell, records, ref, given)
    one = one_of(records, ref)
    spans = spans_of(records, one)
    if given["addr"]:
        from boxship.cli.building import pages
        from boxship.cli.building.serving import serve

        shown = pages.with_style({"": pages.trace(one.ref, spans)})
        return serve(shell, "Trace", given["addr"], shown)
    if shell.out.is_terminal():
        for line in drawn(spans):
            shell.out.line(line)
    else:
        shell.out.line(json.dumps(jaeger(spans), indent=2, ensure_ascii=False))
    return 0


def _compare(shell: Shell, records: Records, ref: str, given: Mapping[str, Any]) -> int:
    """Show two builds side by side: as a table, or served with their traces."""
    from boxship.cli.building import comparing

    first = one_of(records, ref)
    others, named = records_of(shell, given["builder"], [given["compare"]])
    second = one_of(others, named[0])
    found = comparing.pairs(comparing.steps_of(records, first), comparing.steps_of(others, second))
    names = (first.ref, second.ref)
    if not given["addr"]:
        for line in comparing.lines(names, found):
            shell.out.line(line)
        return 0
    from boxship.cli.building import pages
    from boxship.cli.building.serving import serve

    shown = {
        "": pages.compared(names, found),
        "first": pages.trace(first.ref, spans_of(records, first)),
        "second": pages.trace(second.ref, spans_of(others, second)),
    }
    return serve(shell, "Traces", given["addr"], pages.with_style(shown))


def spans_of(records: Records, one: pb.HistoryRecord) -> list[Span]:
    """Return the spans of a build that has ended."""
    if not one.HasField("completed_at"):
        raise InvalidRequest(
            f'build "{one.ref}" is not completed, only completed builds can be traced'
        )
    if not one.HasField("trace"):
        raise NotFound(f'build record "{one.ref}" is missing a trace')
    spans = list(read(records.content(one.trace.digest)))
    if not spans:
        raise NotFound("no trace data")
    return spans


def read(data: bytes) -> Iterator[Span]:
    """Read spans: JSON objects one after the other."""
    decoder = json.JSONDecoder()
    try:
        text, at = data.decode("utf-8", "replace").strip(), 0
        while at < len(text):
            said, at = decoder.raw_decode(text, at)
            while at < len(text) and text[at].isspace():
                at += 1
            yield Span(
                said,
                str(said["SpanContext"]["SpanID"]),
                str(said["Parent"]["SpanID"]),
                moments.parse(said["StartTime"]),
                moments.parse(said["EndTime"]),
            )
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f"the trace cannot be read: {error}") from None


# Jaeger's JSON


def jaeger(spans: list[Span]) -> Document:
    """Return traces as Jaeger's pages take them."""
    traces: dict[str, Document] = {}
    for span in spans:
        id = span.said["SpanContext"]["TraceID"]
        whole = traces.setdefault(
            id, {"traceID": id, "spans": [], "processes": {}, "warnings": None}
        )
        process = _process(span.said.get("Resource") or ())
        known = {json.dumps(one): name for name, one in whole["processes"].items()}
        name = known.get(json.dumps(process)) or f"p{len(known) + 1}"
        whole["processes"][name] = process
        whole["spans"].append(_jaeger_span(span, id, name))
    return {"data": list(traces.values())}


def _process(resource: Any) -> Document:
    names = [one["Value"]["Value"] for one in resource if one["Key"] == SERVICE]
    tags = [_tag(one) for one in resource if one["Key"] != SERVICE]
    return {"serviceName": names[0] if names else "", "tags": tags}


def _jaeger_span(span: Span, trace: str, process: str) -> Document:
    said = span.said
    tags = [_tag(one) for one in said.get("Attributes") or ()]
    if kind := KINDS.get(said.get("SpanKind", 0)):
        tags.append({"key": "span.kind", "type": "string", "value": kind})
    status = said.get("Status") or {}
    if status.get("Code") in ("Error", 1):
        tags.append({"key": "error", "type": "bool", "value": True})
        tags.append({"key": "otel.status_code", "type": "string", "value": "ERROR"})
    if description := status.get("Description"):
        tags.append({"key": "otel.status_description", "type": "string", "value": description})
    logs = [
        {
            "timestamp": moments.parse(event["Time"]) // 1000,
            "fields": [
                {"key": "event", "type": "string", "value": event["Name"]},
                *(_tag(one) for one in event.get("Attributes") or ()),
            ],
        }
        for event in said.get("Events") or ()
    ]
    parent = said["Parent"]
    return {
        "traceID": trace,
        "spanID": span.id,
        "flags": 1,
        "operationName": span.name,
        "references": [
            {"refType": "CHILD_OF", "traceID": parent["TraceID"], "spanID": parent["SpanID"]}
        ],
        "startTime": span.started // 1000,
        "duration": (span.ended - span.started) // 1000,
        "tags": tags,
        "logs": logs,
        "processID": process,
        "warnings": None,
    }


def _tag(one: Document) -> Document:
    kind, value = one["Value"]["Type"], one["Value"]["Value"]
    if kind not in TYPES:
        return {"key": one["Key"], "type": "string", "value": json.dumps(value)}
    return {"key": one["Key"], "type": TYPES[kind], "value": value}


# A picture


def drawn(spans: list[Span]) -> Iterator[str]:
    """Yield lines: each span below the one that it belongs to, with a bar for its time."""
    began = min(span.started for span in spans)
    whole = max(1, max(span.ended for span in spans) - began)
    yield f"{'STARTED':>9}  {'TOOK':>9}  {'':<{BAR}}  SPAN"
    for span, deep in placed(spans):
        first = BAR * (span.started - began) // whole
        length = max(1, BAR * (span.ended - span.started) // whole)
        bar = (" " * min(first, BAR - 1) + "█" * length)[:BAR]
        after, took = (span.started - began) / 1e9, (span.ended - span.started) / 1e9
        name = "  " * deep + visible(span.name)
        yield f"{after:>8.3f}s  {took:>8.3f}s  {bar:<{BAR}}  {name}"


def placed(spans: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    """Yield each span below the one that it belongs to, with how deep it is."""
    known = {span.id for span in spans}
    below: dict[str, list[Span]] = {}
    for span in sorted(spans, key=lambda span: span.started):
        below.setdefault(span.parent if span.parent in known else NOBODY, []).append(span)
    pending = [(span, 0) for span in reversed(below.get(NOBODY, ()))]
    while pending:
        span, deep = pending.pop()
        yield span, deep
        if deep < DEEPEST:
            pending += [(inner, deep + 1) for inner in reversed(below.pop(span.id, ()))]
