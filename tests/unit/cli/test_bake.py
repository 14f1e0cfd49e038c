"""Bake files become builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxship.cli.building import bake
from boxship.errors import InvalidRequest

HCL = """
variable "TAG" { default = "latest" }
variable "DEBUG" { default = false }
group "default" { targets = ["app", "more"] }
group "more" { targets = ["tool"] }
target "base" {
  args   = { MODE = DEBUG ? "debug" : "release", KEPT = "1" }
  labels = { "from" = "base" }
}
target "app" {
  inherits = ["base"]
  tags     = ["app:${TAG}"]
  args     = { MODE = "own" }
  output   = [{ type = "local", dest = "out" }]
}
target "tool" {
  inherits = ["base"]
  contexts = { below = "target:app" }
  dockerfile-inline = <<EOT
FROM below
EOT
}
"""


def read(folder: Path, text: str, name: str = "docker-bake.hcl", **env: str) -> bake.Plan:
    (folder / name).write_text(text)
    return bake.read([str(folder / name)], env, {})


def test_groups_are_opened_and_targets_inherit(tmp_path: Path) -> None:
    plan = read(tmp_path, HCL, TAG="2", DEBUG="true")
    assert plan.chosen(["default"]) == ["app", "tool"]
    app, tool = (bake.asked_of(plan.resolved(name)) for name in ("app", "tool"))
    assert app.tags == ["app:2"]
    assert app.args == {"MODE": "own", "KEPT": "1"}
    assert app.labels == {"from": "base"}
    assert app.outputs == ["type=local,dest=out"]
    assert tool.args["MODE"] == "debug"
    assert tool.dockerfile_text == b"FROM below\n"
    assert bake.links(tool) == {"below": "app"}


def test_later_files_and_overrides_win(tmp_path: Path) -> None:
    (tmp_path / "a.hcl").write_text(HCL)
    later = '{"target": {"app": {"labels": {"tag": "${TAG}"}, "args": {"X": "y", "MODE": "b"}}}}'
    (tmp_path / "b.json").write_text(later)
    plan = bake.read([str(tmp_path / "a.hcl"), str(tmp_path / "b.json")], {}, {"TAG": "3"})
    app = plan.resolved("app")
    assert app["tags"] == ["app:3"]
    assert app["labels"] == {"from": "base", "tag": "3"}
    assert app["args"] == {"MODE": "b", "KEPT": "1", "X": "y"}
    overrides = ("app.args.MODE=set", "app.tags=one", "*.no-cache=true", "app.platforms+=linux/arm")
    for said in overrides:
        plan.override(said)
    found = bake.asked_of(plan.resolved("app"))
    assert (found.args["MODE"], found.tags, found.no_cache) == ("set", ["one"], True)
    assert found.platforms == ["linux/arm"]


def test_services_of_a_compose_file_are_targets(tmp_path: Path) -> None:
    text = """
services:
  web:
    image: web:1
    build: {context: ., dockerfile: D, args: [A=b, C], target: t}
  db: {image: db}
"""
    plan = read(tmp_path, text, "compose.yaml", C="d")
    assert plan.chosen(["default"]) == ["web"]
    found = bake.asked_of(plan.resolved("web"))
    assert (found.tags, found.args, found.target) == (["web:1"], {"A": "b", "C": "d"}, "t")


@pytest.mark.parametrize(
    "text",
    [
        'target "a" { matrix = { x = [1] } }',
        'function "f" { params = [] }',
        'target "a" { inherits = ["a"] }',
        'target "a" { tags = ["${NOPE}"] }',
        'group "a" { targets = ["a"] }',
        'target "b" {}',
    ],
)
def test_what_is_not_understood_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidRequest):
        read(tmp_path, text).resolved(read(tmp_path, text).chosen(["a"])[0])
