"""Real Dockerfiles, built by the real client here and by the distribution's dockerd: the same."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support import filetrees
from tests.support.dockerd import Dockerd, distribution_docker, private_dockerd
from tests.support.engine import Engine

CORPUS = Path(__file__).resolve().parents[1] / "data/dockerfiles"
NAMES = sorted(folder.name for folder in CORPUS.iterdir())
TOO_NEW = {"heredocs"}  # for the distribution's dockerd
NEEDS_BUILDKIT = {"c"}
FEW_STEPS = {"meta", "onbuild"}  # the classic builder takes a third of a second for each

Docker = Callable[..., bytes]


@pytest.fixture(scope="module")
def reference(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dockerd]:
    archive = tmp_path_factory.mktemp("base") / "busybox.tar"
    engine.docker("save", "-o", str(archive), "busybox:latest")
    with private_dockerd() as daemon:
        daemon.docker("load", "-i", str(archive))
        yield daemon


def ours(engine: Engine, *, buildkit: bool = False) -> Docker:
    """Return the distribution's docker command, against our engine."""
    environment = {
        **os.environ,
        "DOCKER_CONFIG": f"{engine.root}/config",
        "DOCKER_BUILDKIT": str(int(buildkit)),
        "BUILDKIT_PROGRESS": "plain",
    }

    def docker(*words: str) -> bytes:
        done = subprocess.run(
            [distribution_docker(), "-H", engine.host, *words],
            capture_output=True,
            check=False,
            timeout=120,
            env=environment,
        )
        assert done.returncode == 0, f"{done.stderr.decode()}\n{engine.tail()}"
        return done.stdout

    return docker


def theirs(daemon: Dockerd, *, buildkit: bool = False) -> Docker:
    def docker(*words: str) -> bytes:
        return daemon.docker(*words, buildkit=buildkit).stdout

    return docker


def same(here: Docker, there: Docker, name: str, tag: str) -> None:
    """Build in both places, and compare files and configuration."""
    words = ["build", "-q", "--network", "none", "-t", tag, str(CORPUS / name)]
    here(*words)
    try:
        there(*words)
        assert filetrees.tree(here, tag) == filetrees.tree(there, tag)
        assert filetrees.config(here, tag) == filetrees.config(there, tag)
    except BaseException:
        here("image", "rm", "-f", tag)
        raise


@pytest.mark.docker_cli
@pytest.mark.parametrize("name", [name for name in NAMES if name not in TOO_NEW])
def test_buildkits_client_gets_what_dockerds_buildkit_makes(
    engine: Engine, reference: Dockerd, name: str
) -> None:
    tag = f"corpus-buildkit-{name}"
    here = ours(engine, buildkit=True)
    same(here, theirs(reference, buildkit=True), name, tag)
    here("image", "rm", "-f", tag)


@pytest.mark.docker_cli
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in FEW_STEPS else [pytest.mark.slow])
        for name in NAMES
        if name not in TOO_NEW | NEEDS_BUILDKIT
    ],
)
def test_the_classic_client_gets_what_the_classic_builder_makes(
    engine: Engine, reference: Dockerd, name: str
) -> None:
    tag = f"corpus-classic-{name}"
    here, there = ours(engine), theirs(reference)
    same(here, there, name, tag)
    try:
        assert _told(filetrees.history(here, tag)) == _told(filetrees.history(there, tag))
    finally:
        here("image", "rm", "-f", tag)


def _told(history: list[str]) -> list[str]:
    """Leave out how sources of copies are told: dockerd tells digests of its own making."""
    return [line.split("COPY")[0].split("ADD")[0] for line in history]


@pytest.mark.docker_cli
@pytest.mark.parametrize("buildkit", [False, True], ids=["classic", "buildkit"])
def test_documents_become_scripts_and_files(engine: Engine, buildkit: bool) -> None:
    tag = f"corpus-heredocs-{buildkit}".lower()
    docker = ours(engine, buildkit=buildkit)
    docker("build", "-q", "--network", "none", "-t", tag, str(CORPUS / "heredocs"))
    try:
        show = "cd /; for f in hello texts/* a b script; do echo $f:; cat $f; done; own && echo ok"
        shown = docker("run", "--rm", "--network", "none", tag, "sh", "-c", show)
        assert shown.decode() == (
            "hello:\nhello world\ntexts/greeting:\nhello world\ntexts/in:\none\ntwo\n"
            "texts/raw:\nhello $NAME\na:\nworld\nb:\n$NAME\nscript:\n/dev/pipes/SCRIPT\nok\n"
        )
    finally:
        docker("image", "rm", "-f", tag)


@pytest.mark.docker_cli
@pytest.mark.parametrize("buildkit", [False, True], ids=["classic", "buildkit"])
def test_included_files_come_from_the_context(
    engine: Engine, tmp_path: Path, buildkit: bool
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "Dockerfile").write_text("# include=on\nFROM busybox\nINCLUDE parts/one\n")
    (tmp_path / "parts/one").write_text("RUN echo one > /made\nINCLUDE parts/two\n")
    (tmp_path / "parts/two").write_text("COPY parts/file /copied\nRUN echo two >> /made\n")
    (tmp_path / "parts/file").write_text("three\n")
    docker = ours(engine, buildkit=buildkit)
    tag = f"included-{buildkit}".lower()
    docker("build", "-q", "--network", "none", "-t", tag, str(tmp_path))
    try:
        shown = docker("run", "--rm", "--network", "none", tag, "cat", "/made", "/copied")
        assert shown == b"one\ntwo\nthree\n"
    finally:
        docker("image", "rm", "-f", tag)
