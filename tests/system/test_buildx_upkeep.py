"""`docker buildx bake`, `du`, `prune`, `history`, `inspect` and `ls`, by the real program."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.support.engine import PATIENCE, Engine, docker_command, link_plugins

pytestmark = pytest.mark.docker_cli
COMPOSE = """
services:
  web:
    image: bake-upkeep-web:1
    build:
      context: web
      args:
        WORD: from compose
      labels:
        of: compose
  worker:
    image: bake-upkeep-worker:1
    build:
      context: web
      dockerfile: other.dockerfile
      target: last
      additional_contexts:
        more: ./more
  cache:
    image: busybox
"""
HCL = """
variable "TAG" { default = "1" }
function "named" {
  params = [name]
  result = ["bake-upkeep-${name}:${TAG}"]
}
group "default" { targets = ["web", "kinds"] }
target "common" {
  args   = { WORD = upper("from hcl") }
  labels = { of = "hcl" }
}
target "web" {
  inherits = ["common"]
  context  = "web"
  tags     = named("web")
}
target "kinds" {
  name     = "kind-${kind}"
  matrix   = { kind = ["a", "b"] }
  inherits = ["common"]
  context  = "web"
  args     = { WORD = kind }
  tags     = named("kind-${kind}")
}
"""


def buildx(engine: Engine, *words: str, cwd: Path | None = None, check: bool = True) -> str:
    if not link_plugins(engine.root / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    done = subprocess.run(
        [docker_command(), "-H", engine.host, "buildx", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120 * PATIENCE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DOCKER_CONFIG": f"{engine.root}/config", "BUILDKIT_PROGRESS": "plain"},
    )
    assert not check or done.returncode == 0, f"{words}: {done.stderr}\n{engine.tail()}"
    return done.stdout + done.stderr


def write(folder: Path) -> None:
    for name in ("web", "more"):
        (folder / name).mkdir()
    (folder / "web/Dockerfile").write_text(
        "FROM busybox:latest\nARG WORD\nRUN echo $WORD > /word\n"
    )
    (folder / "web/other.dockerfile").write_text(
        "FROM busybox:latest AS last\nCOPY --from=more file /word\nFROM last\nRUN false\n"
    )
    (folder / "more/file").write_text("of another folder\n")
    (folder / "compose.yaml").write_text(COMPOSE)
    (folder / "docker-bake.hcl").write_text(HCL)


def word(engine: Engine, tag: str) -> tuple[str, dict[str, str] | None]:
    shown = engine.docker("run", "--rm", "--network", "none", tag, "cat", "/word").stdout
    (found,) = json.loads(engine.docker("image", "inspect", tag).stdout)
    engine.docker("image", "rm", tag)
    return shown, found["Config"].get("Labels")


def test_a_compose_file_is_baked(engine: Engine, tmp_path: Path) -> None:
    write(tmp_path)
    buildx(engine, "bake", "-f", "compose.yaml", cwd=tmp_path)
    assert word(engine, "bake-upkeep-web:1") == ("from compose\n", {"of": "compose"})
    assert word(engine, "bake-upkeep-worker:1") == ("of another folder\n", None)


def test_functions_and_matrices_are_baked(engine: Engine, tmp_path: Path) -> None:
    write(tmp_path)
    words = ["--set", "web.labels.more=set", "--no-cache"]
    buildx(engine, "bake", "-f", "docker-bake.hcl", *words, cwd=tmp_path)
    assert word(engine, "bake-upkeep-web:1") == ("FROM HCL\n", {"of": "hcl", "more": "set"})
    for kind in ("a", "b"):
        assert word(engine, f"bake-upkeep-kind-{kind}:1") == (f"{kind}\n", {"of": "hcl"})


def test_a_target_that_fails_ends_the_others(engine: Engine, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "web/Dockerfile").write_text("FROM busybox:latest\nARG WORD\nRUN exit 7\n")
    told = buildx(engine, "bake", "-f", "docker-bake.hcl", "web", cwd=tmp_path, check=False)
    assert "exit code: 7" in told


def test_what_the_engine_is_and_keeps_is_shown(own_engine: Engine, tmp_path: Path) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    listed = buildx(own_engine, "ls")
    assert re.search(r"default\*? +(docker)?", listed)
    assert "running" in listed
    inspected = buildx(own_engine, "inspect")
    assert re.search(r"Status: +running", inspected)
    assert "linux/amd64" in inspected or f"linux/{os.uname().machine}" in inspected
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox:latest\nCOPY big /\n"
        "RUN --mount=type=cache,target=/c echo kept > /c/f; echo step > /f\n"
    )
    (tmp_path / "big").write_bytes(os.urandom(1 << 20))
    buildx(own_engine, "build", ".", cwd=tmp_path)
    shown = buildx(own_engine, "du")
    assert re.search(r"Total:\s+\d", shown)
    verbose = buildx(own_engine, "du", "--verbose")
    kinds = set(re.findall(r"Type:\s+(\S+)", verbose))
    assert {"regular", "source.local", "exec.cachemount"} <= kinds
    assert "RUN --mount=type=cache" in verbose
    only = buildx(own_engine, "du", "--filter", "type=exec.cachemount", "--verbose")
    assert set(re.findall(r"Type:\s+(\S+)", only)) == {"exec.cachemount"}
    pruned = buildx(own_engine, "prune", "--force", "--filter", "type=exec.cachemount")
    assert re.search(r"Total:\s+\d", pruned)
    kinds = set(re.findall(r"Type:\s+(\S+)", buildx(own_engine, "du", "--verbose")))
    assert "exec.cachemount" not in kinds
    assert "regular" in kinds
    buildx(own_engine, "prune", "--force", "--all")
    assert not re.findall(r"Type:\s+regular", buildx(own_engine, "du", "--verbose"))
    told = buildx(own_engine, "build", ".", cwd=tmp_path)
    assert "CACHED" not in told


def test_the_past_is_shown(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nRUN echo of the past, by buildx\n")
    if "unknown command" in buildx(engine, "history", "ls", check=False) or (
        "history" not in buildx(engine, "--help")
    ):
        pytest.skip("this docker buildx has no history")
    buildx(engine, "build", ".", cwd=tmp_path)
    listed = buildx(engine, "history", "ls")
    assert "Completed" in listed
    assert "of the past, by buildx" in buildx(engine, "history", "logs")
    assert re.search(r"Status: +COMPLETED|Completed", buildx(engine, "history", "inspect"))
