"""Numbers between the steps of a classic build: they can be run, looked at, named and pruned."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.corpus import Door
from tests.support.engine import Engine

pytestmark = pytest.mark.docker_cli
DOCKERFILE = """
FROM busybox AS first
ENV WORD=between
RUN echo $WORD > /one
FROM first
LABEL of=steps
COPY Dockerfile /copied
RUN cat /one && exit 3
"""


def built(engine: Engine, folder: Path) -> dict[str, str]:
    """Build by the classic client; return the number after each step."""
    (folder / "Dockerfile").write_text(DOCKERFILE)
    door = Door("classic", engine.host, engine.root / "config")
    done = door.run("--network", "none", str(folder))
    assert b"returned a non-zero code: 3" in done.stderr
    pairs = re.findall(
        r"Step \d+/\d+ : (.*)\n(?:.*\n)*? ---> ([0-9a-f]{12})\n", done.stdout.decode()
    )
    return dict(pairs)


def test_steps_of_a_build_that_failed_can_be_gone_back_to(
    own_engine: Engine, tmp_path: Path
) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")
    numbers = built(engine, tmp_path)
    before = engine.docker("images", "-aq").stdout
    run = ["run", "--rm", "--network", "none"]
    env, one = numbers["ENV WORD=between"], numbers["RUN echo $WORD > /one"]
    assert engine.docker(*run, env, "sh", "-c", "echo $WORD; ls /one", check=False).stdout == (
        "between\n"
    )
    assert engine.docker(*run, one, "cat", "/one").stdout == "between\n"
    copied = numbers["COPY Dockerfile /copied"]
    assert engine.docker(*run, copied, "cat", "/copied").stdout == DOCKERFILE
    told = engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", one).stdout
    assert told.splitlines()[:2] == [
        "/bin/sh -c echo $WORD > /one", "/bin/sh -c #(nop)  ENV WORD=between",
    ]  # fmt: skip
    label = ["inspect", "--format", "{{.Config.Labels}}"]
    assert engine.docker(*label, numbers["LABEL of=steps"]).stdout == "map[of:steps]\n"
    assert engine.docker(*label, one).stdout == "map[]\n"
    engine.docker("tag", one, "between:1")
    assert engine.docker(*run, "between:1", "cat", "/one").stdout == "between\n"
    engine.docker("image", "rm", "between:1")
    again = built(engine, tmp_path)
    assert again == numbers
    engine.docker("image", "prune", "-f")
    assert engine.docker("images", "-aq").stdout == before
    assert engine.docker(*run, one, "cat", "/one").stdout == "between\n"
    engine.docker("image", "prune", "-f")
    engine.docker("builder", "prune", "-af")
    gone = engine.docker(*run, one, "true", check=False)
    assert gone.returncode != 0
    assert engine.docker("images", "-aq").stdout == before
