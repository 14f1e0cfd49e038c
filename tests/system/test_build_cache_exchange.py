"""Caches that go to a registry or a folder, and what another engine has of them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.debian_registry import debian_registry
from tests.support.engine import (
    CHECKOUT,
    PATIENCE,
    Engine,
    another_number,
    docker_command,
    link_plugins,
    private_engine,
)

DOCKERFILE = """
FROM busybox:latest AS one
COPY f /f
RUN cat /f /proc/sys/kernel/random/uuid > /one
FROM busybox:latest AS two
RUN cat /proc/sys/kernel/random/uuid > /two
FROM busybox:latest
COPY --from=one /one /one
RUN --mount=from=two,target=/m cat /m/two > /three
"""


@pytest.fixture(scope="module")
def other() -> Iterator[Engine]:
    with private_engine(another_number()) as made:
        made.boxship("image", "bootstrap", "busybox")
        yield made


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / "f").write_text("hello\n")
    return folder


def build(engine: Engine, door: str, *words: str, cwd: Path) -> str:
    """Build by docker buildx or by our own command; return what is told."""
    if door == "buildx":
        if not link_plugins(engine.root / "config"):
            pytest.skip("docker buildx is neither installed nor could it be fetched")
        command = [docker_command(), "-H", engine.host, "buildx", "build"]
    else:
        launcher = str(CHECKOUT / "src/boxship/cli/launch.py")
        command = [sys.executable, "-I", "-S", launcher, "-H", engine.host, "build"]
    done = subprocess.run(
        [*command, *words],
        cwd=cwd,
        capture_output=True,
        check=False,
        timeout=60 * PATIENCE,
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "DOCKER_CONFIG": f"{engine.root}/config",
            "BUILDKIT_PROGRESS": "plain",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        },
    )
    told = done.stderr.decode()
    assert done.returncode == 0, f"{words}: {told}\n{engine.tail()}"
    return told


def made(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in ("one", "three")}


def exchanged(
    here: Engine, there: Engine, door: str, context: Path, target: str, source: str
) -> None:
    """Build here, send the cache, and build there: nothing is done again."""
    at = context.parent
    build(here, door, "-o", "first", "--cache-to", target, "context", cwd=at)
    with contextlib.closing(there.api()) as api:
        api.api.prune_builds(all=True)
    told = build(there, door, "-o", "second", "--cache-from", source, "context", cwd=at)
    assert made(at / "first") == made(at / "second")
    assert "importing cache manifest from" in told


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", ["buildx", "boxship"])
@pytest.mark.parametrize(
    "how",
    [
        "mode=min",
        "mode=max,compression=zstd",
        "mode=max,image-manifest=false,oci-mediatypes=false,compression=gzip",
    ],
    ids=["min", "max", "list"],
)
def test_another_engine_does_nothing_again_that_a_registry_has(
    engine: Engine, other: Engine, registry: str, context: Path, door: str, how: str
) -> None:
    ref = f"type=registry,ref={registry}/cache/{door}:{how[-3:]}"
    exchanged(engine, other, door, context, f"{ref},{how}", ref)


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", ["buildx", "boxship"])
def test_another_engine_does_nothing_again_that_a_folder_has(
    engine: Engine, other: Engine, context: Path, door: str
) -> None:
    target = "type=local,dest=kept,mode=max"
    exchanged(engine, other, door, context, target, "type=local,src=kept")
    (entry,) = json.loads((context.parent / "kept/index.json").read_text())["manifests"]
    blobs = context.parent / "kept/blobs/sha256"
    manifest = json.loads((blobs / entry["digest"][7:]).read_text())
    assert manifest["config"]["mediaType"] == "application/vnd.buildkit.cacheconfig.v0"
    config = json.loads((blobs / manifest["config"]["digest"][7:]).read_text())
    assert {layer["parent"] for layer in config["layers"] if "parent" in layer} >= {-1}
    assert all(record["digest"].startswith("sha256:") for record in config["records"])


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", ["buildx", "boxship"])
def test_an_image_is_written_as_a_layout_and_built_on(
    engine: Engine, context: Path, door: str
) -> None:
    at = context.parent
    (context / "Dockerfile").write_text("FROM busybox:latest\nCOPY f /f\nENV KEPT=here\n")
    build(engine, door, "-o", "type=oci,tar=false,dest=layout", "context", cwd=at)
    (context / "Dockerfile").write_text("FROM layout\nRUN echo $KEPT > /kept\n")
    where = "layout=oci-layout://layout"
    build(engine, door, "--build-context", where, "-o", "made", "context", cwd=at)
    assert (at / "made/kept").read_text() == "here\n"
    assert (at / "made/f").read_text() == "hello\n"
