"""Spans that clients send: what they did around a build, kept until it belongs to its record.

They come in OpenTelemetry's messages, some before the build, most when it has ended, and belong to
a build by its trace: the client says which in the header `traceparent`. They are kept in memory
within bounds, as the lines of JSON that `spans` draws.
"""

from __future__ import annotations

import json
import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from boxship.build.control.spans import Caller, context
from boxship.lib import moments
from boxship.spec.buildkit import spans_pb2 as pb

MOST_TRACES: Final = 32
LARGEST: Final = 4 << 20  # bytes of one trace
LONGEST: Final = 64 << 10  # of one span
MOST_TIMES: Final = 100  # that spans are taken of one trace
MOST_BUILDS: Final = 100  # that one trace belongs to
PARENT: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
CODES: Final = {1: "Ok", 2: "Error"}
TYPES: Final = {"text": "STRING", "truth": "BOOL", "whole": "INT64", "number": "FLOAT64"}


@dataclass(slots=True)
class Trace:
    """One trace: its spans, and the builds that it belongs to with how many of them each has."""

    lines: list[bytes] = field(default_factory=list)
    builds: dict[str, int] = field(default_factory=dict)
    room: int = LARGEST
    times: int = MOST_TIMES

    def add(self, lines: Iterable[bytes]) -> None:
        """Take spans, as far as there is room."""
        self.times -= 1
        for line in lines:
            if self.times < 0 or len(line) > min(self.room, LONGEST):
                continue
            self.room -= len(line)
            self.lines.append(line)

    def news(self, ref: str) -> list[bytes]:
        """Return what a build does not have yet; it has it from now on."""
        had, has = self.builds.get(ref, 0), len(self.lines)
        self.builds[ref] = has
        return self.lines[had:has]


class ClientSpans:
    """The traces that were heard of last."""

    def __init__(self) -> None:
        self._traces: OrderedDict[str, Trace] = OrderedDict()

    def begin(self, caller: Caller, ref: str) -> None:
        """A build belongs to a trace."""
        trace = self._trace(caller.trace)
        if len(trace.builds) < MOST_BUILDS:
            trace.builds[ref] = 0

    def take(self, found: Mapping[str, Sequence[bytes]]) -> list[Trace]:
        """Take what was read of a client's call; return the traces that it belongs to."""
        for id, lines in [*found.items()][:MOST_TRACES]:
            self._trace(id).add(lines)
        return [self._traces[id] for id in found if id in self._traces]

    def of(self, trace: str) -> Trace:
        """Return what is known of a trace."""
        return self._traces.get(trace) or Trace()

    def _trace(self, id: str) -> Trace:
        trace = self._traces.setdefault(id, Trace())
        self._traces.move_to_end(id)
        while len(self._traces) > MOST_TRACES:
            self._traces.popitem(last=False)
        return trace


def caller_of(metadata: Mapping[str, Sequence[str]]) -> Caller | None:
    """Return what a call says of the span that it belongs to."""
    found = PARENT.fullmatch(next(iter(metadata.get("traceparent", ())), "")[:200])
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    return Caller(found[1], found[2])


# As BuildKit keeps them


def read(asked: pb.ExportRequest) -> dict[str, list[bytes]]:
    """Return what a client sends by traces; of large ones this takes a while."""
    found: dict[str, list[bytes]] = {}
    for id, line in _lines(asked):
        found.setdefault(id, []).append(line)
    return found


def _lines(asked: pb.ExportRequest) -> Iterator[tuple[str, bytes]]:
    for resource in asked.resource_spans:
        about = _attributes(resource.resource.attributes)
        for scope in resource.scope_spans:
            library = {
                "Name": scope.scope.name,
                "Version": scope.scope.version,
                "SchemaURL": scope.schema_url,
            }
            for span in scope.spans:
                if len(span.trace_id) != 16 or len(span.span_id) != 8 or not any(span.trace_id):
                    continue
                said = {**_span(span), "Resource": about, "InstrumentationLibrary": library}
                line = json.dumps(said, ensure_ascii=False).encode("utf-8", "replace")
                yield span.trace_id.hex(), line + b"\n"


def _span(span: pb.Span) -> dict[str, Any]:
    trace, parent = span.trace_id.hex(), span.parent_span_id.hex()
    own = {**context(trace, span.span_id.hex()), "TraceState": span.trace_state}
    return {
        "Name": span.name,
        "SpanContext": own,
        "Parent": context(trace, parent) if len(parent) == 16 else context(),
        "SpanKind": span.kind,
        "StartTime": moments.show(span.started),
        "EndTime": moments.show(max(span.started, span.ended)),
        "Attributes": _attributes(span.attributes),
        "Events": [
            {
                "Name": one.name,
                "Attributes": _attributes(one.attributes),
                "DroppedAttributeCount": one.dropped_attributes,
                "Time": moments.show(one.at),
            }
            for one in span.events
        ]
        or None,
        "Links": [
            {
                "SpanContext": context(one.trace_id.hex(), one.span_id.hex()),
                "Attributes": _attributes(one.attributes),
                "DroppedAttributeCount": one.dropped_attributes,
            }
            for one in span.links
        ]
        or None,
        "Status": {
            "Code": CODES.get(span.status.code, "Unset"),
            "Description": span.status.message,
        },
        "DroppedAttributes": span.dropped_attributes,
        "DroppedEvents": span.dropped_events,
        "DroppedLinks": span.dropped_links,
        "ChildSpanCount": 0,
    }


def _attributes(said: Iterable[pb.KeyValue]) -> list[dict[str, Any]]:
    return [{"Key": one.key, "Value": _value(one.value)} for one in said]


def _value(value: pb.Value) -> dict[str, Any]:
    kind = value.WhichOneof("value") or "text"
    if kind == "list":
        texts = [str(_value(one)["Value"]) for one in value.list.values]
        return {"Type": "STRINGSLICE", "Value": texts}
    found = getattr(value, kind)
    if isinstance(found, float) and not math.isfinite(found):
        return {"Type": "STRING", "Value": str(found)}
    return {"Type": TYPES[kind], "Value": found}
