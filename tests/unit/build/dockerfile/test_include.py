"""INCLUDE: only where it is asked for, only from the context, and never round."""

from __future__ import annotations

import pytest

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.include import DEPTH, expand, named
from boxship.build.dockerfile.parse import parse
from boxship.build.dockerfile.read import stages
from boxship.build.ops import Place

ASKED = "# include=on\nFROM a\n"


def names(text: str, **files: str) -> list[str]:
    found = {name: content.encode() for name, content in files.items()}
    return [node.original for node in expand(parse(text), found.get).nodes]


def test_the_other_files_instructions_take_the_lines_place():
    assert names(ASKED + "INCLUDE x\nRUN 2\n", x="# c\nRUN 1 \\\n b\n") == [
        "FROM a",
        "RUN 1  b",
        "RUN 2",
    ]
    parsed = expand(parse(ASKED + "INCLUDE x\n"), lambda path: b"RUN 1\n\nRUN 2\n")
    assert [node.place for node in parsed.nodes] == [Place(2, 2), Place(3, 3), Place(3, 3)]


def test_without_being_asked_it_is_unknown():
    text = "FROM a\nINCLUDE x\n"
    assert names(text, x="RUN 1") == ["FROM a", "INCLUDE x"]
    with pytest.raises(DockerfileError, match="unknown instruction: INCLUDE"):
        stages(parse(text).nodes)


def test_a_comment_that_only_looks_so_ends_the_directives_as_with_docker():
    assert parse("# include=some text\n# escape=`\nFROM a\n").escape == "\\"


@pytest.mark.parametrize(
    ("line", "files", "message"),
    [
        ("INCLUDE", {}, "INCLUDE requires exactly one argument"),
        ("INCLUDE a b", {}, "INCLUDE requires exactly one argument"),
        ("INCLUDE no", {}, "INCLUDE no: no such file in the context"),
        ("INCLUDE x", {"x": "INCLUDE y", "y": "INCLUDE x"}, "goes round or too deep: x -> y -> x"),
        ("INCLUDE x", {"x": "RUN <<E"}, "INCLUDE x: unterminated heredoc"),
        ("INCLUDE x", {"x": "# escape=`\nRUN x"}, "INCLUDE x: another escape character"),
        (
            "INCLUDE n0",
            {f"n{i}": f"INCLUDE n{i + 1}" for i in range(DEPTH + 1)},
            "goes round or too deep",
        ),
    ],
)
def test_what_is_refused(line, files, message):
    with pytest.raises(DockerfileError, match=message) as refusal:
        names(ASKED + line, **files)
    assert refusal.value.places == (Place(3, 3),)


def test_included_files_cannot_multiply_without_end():
    many = "\n".join(["INCLUDE y"] * 200)
    with pytest.raises(DockerfileError, match="more than"):
        names(ASKED + "INCLUDE x\n", x=many, y="\n".join(["RUN 1"] * 200))


def test_what_must_be_fetched_first():
    text = b"# include=on\nFROM a\nINCLUDE x\nINCLUDE y z\nINCLUDE x\nINCLUDE w\n"
    assert named(text) == ["x", "w"]
    assert named(b"FROM a\nINCLUDE x\n") == []
    assert named(b"INCLUDE x\n", nested=True) == ["x"]
    assert named(b"RUN <<E", nested=True) == []
