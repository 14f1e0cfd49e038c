"""Spans that clients send: read, bounded, and given to the builds of their traces."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from boxship.build.control import clientspans
from boxship.build.control.clientspans import ClientSpans, caller_of, read
from boxship.build.control.history import History
from boxship.build.control.jobs import Job
from boxship.build.control.kept import Kept
from boxship.build.control.spans import Caller
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.buildkit import spans_pb2 as pb
from boxship.spec.digest import Digest

TRACE, SPAN = "ab" * 16, "cd" * 8
CALLER = Caller(TRACE, SPAN)


def sent(*names: str, trace: str = TRACE, **more: object) -> pb.ExportRequest:
    asked = pb.ExportRequest()
    resource = asked.resource_spans.add()
    name = resource.resource.attributes.add(key="service.name")
    name.value.text = "client"
    scope = resource.scope_spans.add()
    for name_ in names:
        fields: dict[str, object] = {"started": 10**18, "ended": 10**18 + 5, **more}
        scope.spans.add(
            trace_id=bytes.fromhex(trace), span_id=bytes.fromhex(SPAN), name=name_, **fields
        )  # type: ignore[arg-type]
    return asked


@pytest.mark.parametrize(
    ("header", "caller"),
    [
        (f"00-{TRACE}-{SPAN}-01", CALLER),
        (f"01-{TRACE}-{SPAN}-00-more", CALLER),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
    ],
)
def test_a_call_names_the_span_that_it_belongs_to(header: str, caller: Caller | None) -> None:
    assert caller_of({"traceparent": (header,)}) == caller
    assert caller_of({}) is None


def test_a_span_is_kept_as_buildkit_keeps_it() -> None:
    values = {"t": {"text": "x"}, "b": {"truth": True}, "i": {"whole": 3}, "f": {"number": 0.5}}
    values |= {"n": {"number": float("nan")}, "l": {"list": {"values": [{"text": "y"}]}}}
    attributes = [pb.KeyValue(key=k, value=pb.Value(**v)) for k, v in values.items()]  # type: ignore[arg-type]
    event = pb.Event(name="happened", at=10**18)
    asked = sent(
        "it", attributes=attributes, events=[event], parent_span_id=b"p" * 8, kind=3,
        status=pb.Status(code=2, message="bad"), links=[pb.Link(trace_id=b"t" * 16)],
    )  # fmt: skip
    (trace,) = ClientSpans().take(read(asked))
    (line,) = trace.lines
    said: dict[str, Any] = json.loads(line)
    assert said["SpanContext"]["TraceID"] == TRACE
    assert said["Parent"]["SpanID"] == (b"p" * 8).hex()
    assert said["StartTime"] == "2001-09-09T01:46:40Z"
    assert said["Status"] == {"Code": "Error", "Description": "bad"}
    assert {one["Key"]: (one["Value"]["Type"], one["Value"]["Value"]) for one in
            said["Attributes"]} == {
        "t": ("STRING", "x"), "b": ("BOOL", True), "i": ("INT64", 3), "f": ("FLOAT64", 0.5),
        "n": ("STRING", "nan"), "l": ("STRINGSLICE", ["y"]),
    }  # fmt: skip
    assert said["Events"][0]["Name"] == "happened"
    assert said["Resource"][0]["Value"]["Value"] == "client"


def test_what_has_no_place_is_not_kept() -> None:
    kept = ClientSpans()
    nobody = sent("x", trace="0" * 32)
    nobody.resource_spans[0].scope_spans[0].spans.add(name="no IDs")
    assert kept.take(read(nobody)) == []
    assert kept.take(read(pb.ExportRequest())) == []


def test_spans_are_bounded_by_size_number_and_traces() -> None:
    kept = ClientSpans()
    (trace,) = kept.take(read(sent("x" * clientspans.LONGEST, "short")))
    assert len(trace.lines) == 1
    for _ in range(clientspans.MOST_TIMES + 5):
        kept.take(read(sent(*["x" * 50_000] * 3)))
    assert sum(map(len, trace.lines)) <= clientspans.LARGEST
    assert len(trace.lines) <= 1 + clientspans.MOST_TIMES * 3
    for number in range(1, clientspans.MOST_TRACES + 1):
        kept.take(read(sent("x", trace=f"{number:032x}")))
    assert kept.of(TRACE).lines == []
    many = sent("x")
    for number in range(1000):
        many.MergeFrom(sent("x", trace=f"{number + 1:032x}"))
    assert len(kept.take(read(many))) <= clientspans.MOST_TRACES


def test_builds_have_the_spans_of_before_and_after(tmp_path: Path) -> None:
    """Most clients send their spans when all is over."""

    def spans(record: control.HistoryRecord) -> list[dict[str, Any]]:
        with open(kept.open(Digest.parse(record.trace.digest)), "rb") as file:
            return [json.loads(line) for line in file]

    def names(record: control.HistoryRecord) -> list[str]:
        return [span["Name"] for span in spans(record)]

    async def story() -> None:
        await history.hear(sent("early"))
        records = []
        for ref in ("one", "two"):
            job = Job(ref, asyncio.get_running_loop())
            job.caller = CALLER
            record = history.begin(control.SolveRequest(ref=ref), job)
            if ref == "two":
                await history.hear(sent("between"))
            history.end(record, job)
            await history.settled()
            records.append(record)
        own = "moby.buildkit.v1.Control/Solve"
        assert [names(one) for one in records] == [[own, "early", "between"]] * 2
        await history.hear(sent("late"))
        await history.hear(sent("of others", trace="12" * 16))
        assert [names(one) for one in records] == [[own, "early", "between", "late"]] * 2
        assert len(list(kept.all())) == 2  # nothing is left of the shorter ones
        loaded = Kept(str(tmp_path)).load()
        assert [one.trace.digest for one in loaded] == [one.trace.digest for one in records]
        root = spans(records[0])[0]
        assert root["SpanContext"]["TraceID"] == TRACE
        assert (root["Parent"]["SpanID"], root["Parent"]["Remote"]) == (SPAN, True)

    kept = Kept(str(tmp_path))
    history = History(kept)
    asyncio.run(story())
