"""What `create` asks of the engine, option by option.

golden/create-bodies.json was recorded from Docker's own client (28.2.2) at API 1.50: the document
of `create busybox`, and for each case only what its options change in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxship.cli.container import description
from boxship.cli.container.create import COMMAND
from boxship.cli.parse import parse

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/create-bodies.json").read_text())
ABSENT = "<absent>"


def body_of(arguments: list[str]) -> dict[str, Any]:
    options, words = parse(COMMAND.flags, arguments, stops=True)
    return json.loads(json.dumps(description.describe(options, words, {"HOME": "/root"})))


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for key, value in changes.items():
        if value == ABSENT:
            del found[key]
        elif key == "HostConfig":
            found[key] = changed(found[key], value)
        else:
            found[key] = value
    return found


def placed(value: Any, folder: str) -> Any:
    return json.loads(json.dumps(value).replace("{tmp}", folder))


def test_a_bare_create_sends_what_dockers_client_sends() -> None:
    assert body_of(["busybox"]) == GOLDEN["default"]


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: " ".join(case[0])[:60])
def test_options_change_what_they_change_in_dockers_client(case: Any, tmp_path: Path) -> None:
    (tmp_path / "labf").write_text("la=x\nlb\n")
    (tmp_path / "sec.json").write_text(
        '{ "defaultAction": "SCMP_ACT_ALLOW", "x": [1, 2.5, "<a>"] }\n'
    )
    arguments, changes = placed(case, str(tmp_path))
    assert body_of(arguments) == changed(GOLDEN["default"], changes)


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("--publish=70000", "invalid containerPort: 70000"),
        ("--publish=1-2:1-3", "invalid ranges specified for container and host Ports"),
        ("--expose=1:2", "invalid port format for --expose: 1:2"),
        ("--pid=x", "--pid: invalid PID mode"),
        ("--restart=:3", "invalid restart policy format: no policy provided before colon"),
        ("--health-interval=-1s", "--health-interval cannot be negative"),
        ("--memory-swappiness=200", "Valid memory swappiness range is 0-100"),
        ("--device=a:b:c:d", "bad format for path: a:b:c:d"),
        ("--security-opt=x", 'Invalid --security-opt: "x"'),
    ],
)
def test_what_cannot_be_meant_is_refused_in_dockers_words(option: str, problem: str) -> None:
    with pytest.raises(ValueError, match="^.*" + problem.replace("(", r"\(")):
        body_of([option, "busybox"])


def test_restart_and_rm_contradict_each_other() -> None:
    with pytest.raises(ValueError, match="cannot specify both --restart and --rm"):
        body_of(["--rm", "--restart=always", "busybox"])
