"""Pages of builds: what strangers have written into records stays text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from boxship.cli.building import comparing, pages, serving
from boxship.cli.building.serving import Page
from boxship.cli.building.tracing import read
from boxship.cli.building.tracking import Step, Steps
from boxship.errors import InvalidRequest

EVIL = "</pre></title><script src=//evil></script><img src=x onerror=alert(1)>\x1b[31m\x00\"'&"
TAGS = {
    "html", "head", "meta", "title", "link", "body", "h1", "h2", "p", "a", "table", "tr", "th",
    "td", "svg", "rect", "br", "small", "details", "summary", "pre",
}  # fmt: skip


class Markup(HTMLParser):
    """What a page is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.links: set[str] = set()
        self.shown = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name != "style"
            if name in ("href", "src"):
                self.links.add(value or "")

    def handle_data(self, data: str) -> None:
        self.shown += data


def looked(page: Page) -> Markup:
    markup = Markup()
    markup.feed(page.text)
    assert markup.found <= TAGS
    assert not any(char in page.text for char in "\x00\x1b")
    assert all(re.fullmatch(r"[a-z0-9.-]+", link) for link in markup.links)
    return markup


def span(name: object = EVIL, id: object = "a", parent: object = "", **more: object) -> str:
    said: dict[str, object] = {
        "Name": name,
        "SpanContext": {"SpanID": id, "TraceID": "t"},
        "Parent": {"SpanID": parent},
        "StartTime": "2024-01-01T00:00:00Z",
        "EndTime": "2024-01-01T00:00:02Z",
        **more,
    }
    return json.dumps(said) + "\n"


@pytest.mark.parametrize(
    "said",
    [
        span(Status={"Code": "Error", "Description": EVIL}),
        span(Status=EVIL, Attributes=EVIL),
        span(Attributes=[EVIL, {"Key": "cached", "Value": [EVIL]}], id=[EVIL], parent={}),
        span(name={EVIL: EVIL}, Status={"Code": ["Error"], "Description": 1}),
    ],
)
def test_a_page_of_a_trace_has_nothing_of_a_strangers_but_text(said: str) -> None:
    markup = looked(pages.trace(EVIL, list(read(said.encode()))))
    assert "<script src=//evil>" in markup.shown


def test_spans_that_share_names_are_shown_once_each() -> None:
    """Spans of one name below each other would be shown a million times."""
    text = "".join(span("s", f"{deep}", f"{deep - 1}") * 2 for deep in range(1, 20))
    found = pages.trace("t", list(read((span("s", "0") + text).encode()))).text
    assert found.count("<rect") == 39


def steps(*said: tuple[str, float, bool]) -> Steps:
    found = Steps()
    for number, (name, took, cached) in enumerate(said):
        step = found.steps[f"{number}"] = Step(f"{number}")
        step.name, step.started, step.completed, step.cached = name, 10.0, 10.0 + took, cached
        step.hear(EVIL.encode() + b"\n", 11.0)
    return found


def test_a_page_of_a_record_has_nothing_of_a_strangers_but_text() -> None:
    pair = [{"Name": EVIL, "Value": EVIL}]
    said: dict[str, Any] = {
        "Error": {"Message": EVIL}, "Materials": [{"URI": EVIL, "Digests": [EVIL]}],
        "BuildArgs": pair, "Labels": pair, "NamedContexts": pair,
        "Attachments": [{"Type": EVIL, "Platform": EVIL, "Digest": EVIL}],
    }  # fmt: skip
    told = steps((EVIL, 1.0, False))
    told.steps["0"].error = EVIL
    markup = looked(pages.record(EVIL, [(EVIL, EVIL)], told, said, traced=True))
    assert markup.links == {"style.css", "trace", "attachment-0"}
    assert "ERROR 1.0s" in markup.shown
    assert pages.attachment(b'{"a": [1]}').text == '{\n  "a": [\n    1\n  ]\n}'
    assert pages.attachment(b"\xff[" * 100_000).kind.startswith("text/plain")


def test_two_builds_are_compared_step_by_step() -> None:
    first = steps(("FROM", 1.0, True), ("RUN a", 2.0, False), ("RUN gone", 1.0, False))
    second = steps(("FROM", 1.0, True), ("RUN a", 5.5, False), ("RUN a", 1.0, False))
    found = comparing.pairs(first, second)
    assert list(comparing.lines(("one", "two"), found)) == [
        "STEP         one     two  CHANGE",
        "FROM      CACHED  CACHED   +0.0s",
        "RUN a       2.0s    5.5s   +3.5s",
        "RUN gone    1.0s       -        ",
        "RUN a          -    1.0s        ",
    ]
    markup = looked(pages.compared((EVIL, EVIL), found))
    assert markup.links == {"style.css", "first", "second"}


@pytest.mark.parametrize("address", ["", "80", "x", "127.0.0.1:", "127.0.0.1:http", "x:70000"])
def test_an_address_is_a_host_and_a_port(address: str) -> None:
    with pytest.raises(InvalidRequest, match="HOST:PORT"):
        serving._split(address)


def test_an_address_without_a_host_is_the_loopback() -> None:
    assert serving._split(":8080") == ("127.0.0.1", 8080)
    assert serving._split("[::1]:0") == ("::1", 0)
