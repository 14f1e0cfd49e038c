"""Dockerfiles that install compilers and interpreters: the same here and by a modern dockerd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import corpus
from tests.support.corpus import Door, Outcome
from tests.support.dockerd import Dockerd, modern_dockerd, private_dockerd
from tests.support.engine import PATIENCE, Engine

pytestmark = [pytest.mark.slow, pytest.mark.docker_cli, pytest.mark.timeout(1800)]
NAMES = sorted(folder.name for folder in corpus.DEBIAN.iterdir())
CHANGING = ("var/log/", "var/cache/", "var/lib/apt/", "var/lib/dpkg/", "etc/shadow")
BASE = "debian:latest"


@pytest.fixture(scope="module")
def both(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    made = engine.boxship("image", "bootstrap", "debian", timeout=600 * PATIENCE, check=False)
    if made.returncode:
        pytest.skip(f"no Debian can be made here: {made.stderr.strip()[-200:]}")
    archive = tmp_path_factory.mktemp("base") / "debian.tar"
    with private_dockerd(modern_dockerd(), features={"containerd-snapshotter": True}) as daemon:
        try:
            engine.docker("save", "-o", str(archive), BASE)
            daemon.docker("load", "-i", str(archive))
            yield daemon
        finally:
            engine.docker("image", "rm", "-f", BASE)


@pytest.mark.parametrize("name", NAMES)
def test_packages_compilers_and_interpreters(
    engine: Engine, both: Dockerd, tmp_path: Path, name: str
) -> None:
    ours = [
        made_by(Door(kind, engine.host, engine.root / "config"), tmp_path / kind, name)
        for kind in ("session", "buildx", "boxship")
    ]
    theirs = made_by(Door("buildx", both.host, both.root / "config"), tmp_path / "theirs", name)
    assert theirs["tree"]
    for one in ours:
        for fact in theirs:
            assert one[fact] == theirs[fact]


def made_by(door: Door, folder: Path, name: str) -> Outcome:
    """Return what comes of it, without what packages write of the moment."""
    folder.mkdir()
    found = door.outcome(name, folder, base=BASE, corpus=corpus.DEBIAN, network="host")
    found["tree"] = {p: e for p, e in found["tree"].items() if not p.startswith(CHANGING)}
    return found
