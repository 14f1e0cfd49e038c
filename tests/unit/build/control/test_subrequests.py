"""What is asked of a Dockerfile instead of a build; the answers are those of BuildKit 0.12."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from boxship.build.control import subrequests
from boxship.build.dockerfile.convert import convert_parsed
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.lint import Finding
from boxship.build.dockerfile.options import Options
from boxship.build.dockerfile.parse import decode, parse
from boxship.build.request import BuildRequest, Dockerfile, Graph
from boxship.errors import NotFound, NotSupported
from boxship.spec.platform import Platform

HOST = Platform("linux", "amd64")


class Planner:
    """A builder as far as questions need one: no image is ever found."""

    async def plan(self, request: BuildRequest, report: Any) -> Graph:
        file = request.frontend
        assert isinstance(file, Dockerfile)
        options = Options(
            HOST,
            (HOST,),
            target=request.target,
            build_args=request.build_args,
            outline=file.outline,
            all_stages=file.all_stages,
        )
        findings: list[Finding] = []
        try:
            converted = await convert_parsed(parse(decode(file.text)), options, self, findings)
        finally:
            if file.checked is not None:
                file.checked(findings)
        if file.told is not None:
            file.told(converted)
        return Graph(())

    async def resolve(self, reference: str, platform: Platform) -> Any:
        raise NotFound(reference)


def ask(name: str, text: str, **more: Any) -> dict[str, str]:
    request = BuildRequest(frontend=Dockerfile(text.encode()), **more)
    builder: Any = Planner()
    found = asyncio.run(subrequests.answer(name, request, builder, lambda told: None))
    return {key: value.decode() for key, value in found.items()}


def outlined(text: str, **more: Any) -> dict[str, Any]:
    """Return an outline, with numbers of lines for places."""
    found: dict[str, Any] = json.loads(ask("frontend.outline", text, **more)["result.json"])
    for kind in ("args", "secrets", "ssh"):
        for one in found.get(kind, ()):
            (place,) = one.pop("location")["ranges"]
            one["line"] = place["start"]["line"]
    del found["sources"]
    return found


def test_all_arguments_of_the_stages_are_told() -> None:
    text = (
        "ARG GLOBAL=1\nARG TAG=scratch\nARG MORE=x$GLOBAL\nFROM $TAG AS a\nARG BEFORE=b\n"
        'RUN ["echo"]\nARG AFTER\nFROM a\nARG UNUSED=u\nCOPY Dockerfile /\n'
    )
    assert outlined(text) == {
        "args": [
            {"name": "TAG", "value": "scratch", "line": 2},
            {"name": "BEFORE", "value": "b", "line": 5},
            {"name": "AFTER", "line": 7},
            {"name": "UNUSED", "value": "u", "line": 9},
        ]
    }


def test_an_argument_without_a_default_is_the_one_before_the_stages() -> None:
    text = (
        "# GLOBAL is known\nARG GLOBAL=1\n# TAG is the tag\nARG TAG=scratch\nFROM $TAG AS a\n"
        "ARG GLOBAL\n# A doc\nARG A=${GLOBAL}b\nARG TARGETOS\nARG HTTP_PROXY\n"
        "RUN --mount=type=secret,id=s --mount=type=ssh,required true\n"
    )
    assert outlined(text) == {
        "name": "a",
        "args": [
            {"name": "GLOBAL", "description": "is known", "value": "1", "line": 2},
            {"name": "TAG", "description": "is the tag", "value": "scratch", "line": 4},
            {"name": "A", "description": "doc", "value": "1b", "line": 8},
            {"name": "HTTP_PROXY", "line": 10},
        ],
        "secrets": [{"name": "s", "line": 11}],
        "ssh": [{"name": "default", "required": True, "line": 11}],
    }


def test_what_is_given_counts_where_it_was_declared_last() -> None:
    text = (
        "ARG GLOBAL=1\n# a is good\nFROM scratch AS a\nARG GLOBAL\nARG B\nARG GLOBAL=again\n"
        "FROM scratch AS c\nARG IN_C=1\n"
    )
    assert outlined(text, target="a", build_args={"GLOBAL": "g", "B": "b"}) == {
        "name": "a",
        "description": "is good",
        "args": [
            {"name": "B", "value": "b", "line": 5},
            {"name": "GLOBAL", "value": "g", "line": 6},
        ],
    }


STAGES = (
    "ARG V=1\nARG W=2\nFROM scratch AS c\nARG IN_C=1\nFROM scratch as d\nARG IN_D\nARG V=stage\n"
    "RUN --mount=type=secret,id=inD echo\n# last doc\nFROM scratch AS last\nARG MINE=4\n"
    "ARG IN_C=5\nARG W\nARG V\nCOPY --from=c / /\nRUN --mount=type=bind,from=d,target=/d "
    "--mount=type=secret,target=/run/secrets/bytarget,required true\n"
)


def test_of_one_name_the_nearer_stage_counts_and_the_text_has_tables() -> None:
    assert ask("frontend.outline", STAGES)["result.txt"] == (
        "TARGET:      last\n"
        "DESCRIPTION: doc\n"
        "\n"
        "BUILD ARG   VALUE   DESCRIPTION\n"
        "V           1       \n"
        "W           2       \n"
        "IN_D                \n"
        "MINE        4       \n"
        "IN_C        5       \n"
        "\n"
        "SECRET     REQUIRED\n"
        "inD        \n"
        "bytarget   true\n"
        "\n"
    )
    assert ask("frontend.outline", "FROM scratch\n")["result.txt"] == ""


def test_targets_are_listed_with_names_and_places() -> None:
    text = (
        "# first is nice\nFROM scratch\nFROM --platform=linux/$TARGETARCH scratch AS Two\n"
        "# three a\nFROM two AS three\n"
    )
    found = ask("frontend.targets", text)
    assert found["version"] == "1.0.0"
    assert found["result.txt"] == (
        "TARGET          DESCRIPTION\n                \ntwo             \nthree (default) a\n"
    )
    targets = json.loads(found["result.json"])["targets"]
    lines = [one.pop("location")["ranges"][0]["start"]["line"] for one in targets]
    assert lines == [2, 3, 5]
    assert targets == [
        {"base": "scratch"},
        {"name": "two", "base": "scratch", "platform": "linux/$TARGETARCH"},
        {"name": "three", "default": True, "description": "a", "base": "two"},
    ]


def test_a_check_says_what_is_wrong_and_gives_a_status() -> None:
    found = ask("frontend.lint", "FROM scratch as x\nMAINTAINER me\n")
    document = json.loads(found["result.json"])
    assert [one["ruleName"] for one in document["warnings"]] == [
        "FromAsCasing",
        "MaintainerDeprecated",
    ]
    assert document["sources"][0]["filename"] == "Dockerfile"
    assert found["result.statuscode"] == "1"
    assert ask("frontend.lint", "FROM scratch\n")["result.statuscode"] == "0"


def test_a_check_of_what_cannot_be_built_says_so() -> None:
    found = ask("frontend.lint", "FROM scratch\nRUNN true\n")
    document = json.loads(found["result.json"])
    assert "unknown instruction: RUNN" in document["buildError"]["message"]
    assert document["buildError"]["location"]["ranges"][0]["start"]["line"] == 2
    assert ">>> RUNN true" in found["result.txt"]
    assert found["result.statuscode"] == "1"
    with pytest.raises(DockerfileError):
        ask("frontend.outline", "FROM scratch\nRUNN true\n")


def warned(text: str, **more: Any) -> list[tuple[str, int]]:
    """Return the broken rules and their lines."""
    document = json.loads(ask("frontend.lint", text, **more)["result.json"])
    return [
        (one["ruleName"], one["location"]["ranges"][0]["start"]["line"])
        for one in document["warnings"]
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "FROM scratch AS Bad\nMAINTAINER me\nBADCMD\n",
            [("StageNameCasing", 1), ("MaintainerDeprecated", 2)],
        ),
        ("FROM --platform=$BULIDPLATFORM scratch\n", [("UndefinedArgInFrom", 1)]),
        ("FROM scratch\nENV a b\nCOPY --chmod=9 x /\n", [("LegacyKeyValueFormat", 2)]),
        ("# check=error=true\nFROM scratch as b\n", [("FromAsCasing", 2)]),
        ("FROM scratch AS Bad\nFROM nosuch\n", [("StageNameCasing", 1)]),
    ],
)
def test_what_was_found_before_an_error_is_told_with_it(
    text: str, found: list[tuple[str, int]]
) -> None:
    assert warned(text) == found
    assert "buildError" in json.loads(ask("frontend.lint", text)["result.json"])


def test_all_stages_are_checked_unless_a_target_is_named() -> None:
    text = "FROM scratch AS one\nCOPY $foo .\n\nFROM scratch AS two\nCOPY $bar .\n"
    assert warned(text) == [("UndefinedVar", 2), ("UndefinedVar", 5)]
    assert warned(text, target="two") == [("UndefinedVar", 5)]


def test_what_can_be_asked_is_told_and_the_rest_refused() -> None:
    found = ask("frontend.subrequests.describe", "FROM scratch\n")
    assert "outline              1.0.0   List all parameters" in found["result.txt"]
    names = [one["name"] for one in json.loads(found["result.json"])]
    assert names == [*subrequests.ANSWERS]
    with pytest.raises(NotSupported):
        ask("frontend.other", "FROM scratch\n")
