"""Caches between us and a modern BuildKit: each reads what the other wrote, and builds right.

Neither finds the other's steps: what a step is called is each builder's own (docs/decisions).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.corpus import Door, prepare, reused
from tests.support.debian_registry import debian_registry
from tests.support.dockerd import Dockerd, modern_dockerd, private_dockerd
from tests.support.engine import Engine

pytestmark = [pytest.mark.slow, pytest.mark.docker_cli, pytest.mark.timeout(600)]
WAYS = {
    "registry": ("type=registry,ref={ref}", "type=registry,ref={ref}"),
    "list": ("type=registry,ref={ref},image-manifest=false,oci-mediatypes=true",) * 2,
    "local": ("type=local,dest=kept", "type=local,src=kept"),
}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with debian_registry(tmp_path_factory.mktemp("registry")) as host:
        yield host


@pytest.fixture(scope="module")
def buildkit(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    archive = tmp_path_factory.mktemp("base") / "busybox.tar"
    engine.docker("save", "-o", str(archive), "busybox:latest")
    with private_dockerd(modern_dockerd(), features={"containerd-snapshotter": True}) as daemon:
        daemon.docker("load", "-i", str(archive))
        yield daemon


def doors(engine: Engine, buildkit: Dockerd) -> dict[str, Door]:
    return {
        "ours": Door("buildx", engine.host, engine.root / "config"),
        "theirs": Door("buildx", buildkit.host, buildkit.root / "config"),
    }


def forget(door: Door, engine: Engine, buildkit: Dockerd) -> None:
    if door.host == engine.host:
        with contextlib.closing(engine.api()) as api:
            api.api.prune_builds(all=True)
    else:
        buildkit.docker("builder", "prune", "-af")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("writer", "reader"), [("ours", "theirs"), ("theirs", "ours")])
def test_a_cache_of_the_other_is_read(
    engine: Engine, buildkit: Dockerd, registry: str, tmp_path: Path, way: str, writer: str,
    reader: str,
) -> None:  # fmt: skip
    both = doors(engine, buildkit)
    ref = f"{registry}/of-{writer}/{way}:1"
    target, source = (one.format(ref=ref) for one in WAYS[way])
    prepare("python", tmp_path)
    words = ["--network", "none", "python"]
    both[writer].build("--cache-to", f"{target},mode=max", "-o", "first", *words, cwd=tmp_path)
    forget(both[reader], engine, buildkit)
    told = both[reader].build("--cache-from", source, "-o", "second", *words, cwd=tmp_path)
    assert "importing cache manifest" in told
    assert "ERROR" not in told
    assert "failed to import" not in told
    assert files(tmp_path / "first") == files(tmp_path / "second")
    assert not any(any(found) for found in reused(told).values())


@pytest.mark.parametrize(("writer", "reader"), [("ours", "theirs"), ("theirs", "ours")])
def test_an_image_that_carries_the_others_cache_is_read(
    engine: Engine, buildkit: Dockerd, registry: str, tmp_path: Path, writer: str, reader: str
) -> None:
    """An engine of ours once wrote a document of its own there, at which a BuildKit failed."""
    both = doors(engine, buildkit)
    ref = f"{registry}/of-{writer}/inline:1"
    prepare("node", tmp_path)
    words = ["--network", "none", "node"]
    both[writer].build(
        "--cache-to", "type=inline", "--push", "--provenance", "false", "-t", ref, *words,
        cwd=tmp_path,
    )  # fmt: skip
    forget(both[reader], engine, buildkit)
    told = both[reader].build("--cache-from", f"type=registry,ref={ref}", *words, cwd=tmp_path)
    assert "importing cache manifest" in told
    assert "ERROR" not in told
    assert "failed to import" not in told


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }
