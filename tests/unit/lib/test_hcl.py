"""HCL as bake files use it."""

from __future__ import annotations

from typing import Any

import pytest

from boxship.errors import InvalidRequest
from boxship.lib import hcl


def value(text: str, **scope: Any) -> Any:
    return hcl.parse(f"x = {text}\n").attributes["x"](scope)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"plain"', "plain"),
        ('"a\\n\\"b\\""', 'a\n"b"'),
        ('"v${TAG}-${N}"', "v1.2-3"),
        ('"$${TAG}"', "${TAG}"),
        ('"${N}"', 3),  # alone, a value stays what it is
        ("[1, 2.5, true, null,]", [1, 2.5, True, None]),
        ('{ a = "b", "c": TAG }', {"a": "b", "c": "1.2"}),
        ('TAG == "1.2" ? "yes" : "no"', "yes"),
        ("!ON && N != 3 || ON", True),
        ('upper("x")', "X"),
        ('concat(["a"], ["b"])', ["a", "b"]),
        ('join(",", ["a", N])', "a,3"),
        ("MAP.key", "inner"),
        ("(N)", 3),
        ('<<EOT\nline ${N}\n  "two"\nEOT', 'line 3\n  "two"\n'),
        ("<<-EOT\n    a\n      b\n    EOT", "a\n  b\n"),
        ("[\n  1, # one\n  2, // two\n /* three */ 3\n]", [1, 2, 3]),
    ],
)
def test_expressions_have_values(text: str, expected: object) -> None:
    assert value(text, TAG="1.2", N=3, ON=True, MAP={"key": "inner"}) == expected


def test_blocks_have_labels_and_nest() -> None:
    root = hcl.parse('group "default" { targets = ["a"] }\ntarget a {\n output { type = "x" }\n}')
    assert [(b.kind, b.labels) for b in root.blocks] == [
        ("group", ("default",)),
        ("target", ("a",)),
    ]
    assert root.blocks[1].blocks[0].attributes["type"]({}) == "x"


@pytest.mark.parametrize(
    "text",
    [
        "x = ", 'x = "unfinished', "x = [1 2]", "x = {a}", "x = nothing(1)", "x = 1\nx = 2",
        "target {", "= 1", 'x = "%{ if y }"', "x = <<EOT\nno end", "x = @", "x = " + "(" * 500,
        'x = "\\q"',
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"line [12]"):
        hcl.parse(text)


def test_an_unknown_variable_is_named() -> None:
    with pytest.raises(InvalidRequest, match="unknown variable 'NOPE'"):
        value("NOPE")
