"""HCL as bake files use it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxship.errors import InvalidRequest
from boxship.lib import hcl
from boxship.lib.hcl.functions import functions
from boxship.lib.hcl.jsonform import parse_json


def value(text: str, **scope: Any) -> Any:
    node = hcl.parse(f"x = {text}\n", "f").attributes["x"]
    return node.evaluate(hcl.Scope(scope, functions()))


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
    text = 'group "default" { targets = ["a"] }\ntarget a {\n output {\n type = "x"\n }\n}'
    root = hcl.parse(text)
    assert [(b.kind, b.labels) for b in root.blocks] == [
        ("group", ("default",)),
        ("target", ("a",)),
    ]
    assert root.blocks[1].body.blocks[0].body.attributes["type"].evaluate(hcl.Scope({})) == "x"


@pytest.mark.parametrize(
    "text",
    [
        "x = ", 'x = "unfinished', "x = [1 2]", "x = {a}", "x = 1\nx = 2", "target {", "= 1",
        'x = "%{ if y }"', "x = <<EOT\nno end", "x = @", "x = " + "(" * 5000, 'x = "\\q"',
        'x = "%{ endif }"', "x = [for a in b c]", "x = a.", "x = f(1", "x = 1e999999999", "x = a ?",
        'x = "a\nb"', "x = " + "[" * 5000, "x = " + "-" * 5000 + "1", "x = 1 y = 2",
        "x = " + "{a=" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_its_place(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^f:[123],\d+-"):
        hcl.parse(text, "f")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("NOPE", 'no variable named "NOPE"'),
        ("nope()", 'no function named "nope"'),
        ('"a${null}"', "Cannot include a null value"),
        ('"a${[]}"', "Cannot include this value"),
        ("[1][7]", "Invalid index"),
        ("{}.a", 'attribute named "a"'),
        ("1 / 0", "Division by zero"),
        ('"a" + 1', "a number is required"),
        ("[for x in 1 : x]", "not iterable"),
        ('{for x in ["a", "a"] : x => x}', "Duplicate object key"),
        ("upper()", "not enough function arguments"),
        ('upper("a", "b")', "too many function arguments"),
        ('true ? "a" : []', "Inconsistent conditional"),
        ("range(1, 1000000)", "more than 1024 values"),
        ("1" + "0" * 5000 + " * 1" + "0" * 5000, "no number"),
        ('format("%99999s", "a")', "the width is too large"),
        ('indent(99999, "a")', "out of range"),
        ('regex("(", "a")', "invalid regular expression"),
    ],
)
def test_what_has_no_value_is_said(text: str, problem: str) -> None:
    with pytest.raises(InvalidRequest, match=problem):
        value(text)


def test_an_error_shows_its_lines() -> None:
    with pytest.raises(hcl.BadDefinition) as found:
        hcl.parse("a = 1\nb = 2\nc = @\nd = 4\ne = 5\n", "x.hcl")
    assert found.value.span is not None
    assert found.value.span.excerpt().splitlines() == [
        "x.hcl:3", "-" * 20, "   1 |     a = 1", "   2 |     b = 2", "   3 | >>> c = @",
        "   4 |     d = 4", "   5 |     e = 5", "-" * 20,
    ]  # fmt: skip


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def quoted(text: str) -> str:
    """Write a string as HCL has it."""
    said = "".join(
        char if char.isprintable() and char not in '\\"' else f"\\U{ord(char):08x}" for char in text
    )
    return '"' + said.replace("${", "$${").replace("%{", "%%{") + '"'


def written(said: Any) -> str:
    match said:
        case None:
            return "null"
        case bool():
            return "true" if said else "false"
        case str():
            return quoted(said)
        case list():
            return "[" + ",\n".join(map(written, said)) + "]"
        case dict():
            return "{" + "\n".join(f"{quoted(k)} = {written(v)}" for k, v in said.items()) + "}"
    return str(said)


@settings(deadline=None)
@given(VALUES)
def test_what_is_written_reads_back_the_same(said: Any) -> None:
    assert value(written(said)) == said
    assert value(f"jsondecode(jsonencode({written(said)}))") == said


@settings(deadline=None)
@given(st.text(max_size=60) | st.text('abx"${}%~=\n<-EOT[]()?:.,*+!#/1 ', max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (hcl.parse, lambda said: parse_json(said, "", {"target": ()})):
        try:
            body = read(text)
            for node in body.attributes.values():
                node.evaluate(hcl.Scope({}, functions()))
        except InvalidRequest:
            pass
