"""Our build client with Docker's own engine behind it: what it offers is understood there too."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.dockerd import Dockerd, modern_dockerd, private_dockerd
from tests.support.engine import BOXSHIP

pytestmark = pytest.mark.slow

Build = Callable[..., "subprocess.CompletedProcess[str]"]
DOCKERFILE = """\
FROM scratch AS one
COPY here/a /a
FROM one
COPY --from=other b /b
COPY --chmod=600 here /all/
LABEL who=us
"""


@pytest.fixture(scope="module", params=["distribution", "modern"])
def dockerd(request: pytest.FixtureRequest) -> Iterator[Dockerd]:
    program = modern_dockerd() if request.param == "modern" else None
    with private_dockerd(program) as daemon:
        yield daemon


@pytest.fixture
def build(dockerd: Dockerd, tmp_path: Path) -> Build:
    context, other = tmp_path / "ctx", tmp_path / "other"
    (context / "here").mkdir(parents=True)
    other.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "here/a").write_text("a")
    (context / "here/left out").write_text("")
    (context / ".dockerignore").write_text("here/left*\n")
    (other / "b").write_text("b")

    def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*BOXSHIP, "-H", dockerd.host, *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            timeout=120,
            env={**os.environ, "DOCKER_CONFIG": str(tmp_path / "config")},
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


def test_an_image_is_built_of_folders_that_the_client_offers(
    build: Build, dockerd: Dockerd, tmp_path: Path
) -> None:
    flags = (*named(dockerd, tmp_path), "--metadata-file", "said", "--iidfile", "id")
    done = build("build", "-t", "there:1", "--progress", "plain", *flags, "ctx")
    assert "exporting to image" in done.stderr
    shown = json.loads(dockerd.docker("image", "inspect", "there:1").stdout)[0]
    assert shown["Config"]["Labels"] == {"who": "us"}
    assert (tmp_path / "id").read_text() == shown["Id"]
    said = json.loads((tmp_path / "said").read_text())
    assert said["buildx.build.ref"].startswith("default/default/")
    again = build("build", "-t", "there:1", "--progress", "plain", *flags, "ctx")
    assert len(re.findall(r"^#[0-9]+ CACHED$", again.stderr, re.MULTILINE)) == 3


def test_results_come_to_the_client(build: Build, dockerd: Dockerd, tmp_path: Path) -> None:
    build("build", *named(dockerd, tmp_path), "-o", "out", "ctx")
    out = tmp_path / "out"
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    assert found == ["a", "all", "all/a", "b"]
    assert (out / "b").read_text() == ("a" if dockerd.is_old else "b")


def test_a_failure_is_told(build: Build, dockerd: Dockerd, tmp_path: Path) -> None:
    (tmp_path / "ctx/Dockerfile").write_text("FROM scratch\nCOPY nowhere /\n")
    failed = build("build", "ctx", check=False)
    assert failed.returncode == 1
    assert '"/nowhere": not found' in failed.stderr or '"/nowhere" not found' in failed.stderr
    assert dockerd.is_old or ">>> COPY nowhere /" in failed.stderr


def named(dockerd: Dockerd, folder: Path) -> tuple[str, ...]:
    """Return the flags of the named context; BuildKit of 20.10, which knows none, gets none."""
    if not dockerd.is_old:
        return ("--build-context", "other=other")
    file = folder / "ctx/Dockerfile"
    file.write_text(DOCKERFILE.replace("--from=other b", "here/a"))
    return ()
