"""Odd Dockerfiles by a modern BuildKit, recorded anew, and by us through the whole engine."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from tests.support import odd_dockerfiles as odd
from tests.support.corpus import Door, Outcome
from tests.support.dockerd import modern_dockerd, private_dockerd
from tests.support.engine import Engine

pytestmark = [pytest.mark.slow, pytest.mark.docker_cli, pytest.mark.timeout(1200)]


def made_by(door: Door) -> dict[str, Outcome]:
    texts = odd.cases()
    with ThreadPoolExecutor(4) as workers:
        return dict(zip(texts, workers.map(partial(odd.outcome, door), texts), strict=True))


def test_what_is_recorded_is_what_buildkit_makes() -> None:
    with private_dockerd(modern_dockerd(), features={"containerd-snapshotter": True}) as daemon:
        made = made_by(Door("buildx", daemon.host, daemon.root / "config"))
    if os.environ.get("RECORD_CORPUS"):
        odd.record(made)
    known = odd.recorded()
    # what is told of a cache key has a number of its own
    numbered = {text for text in known if "calculate checksum" in known[text].get("error", "")}
    assert {t: made[t] for t in made if t not in numbered} == {
        t: known[t] for t in known if t not in numbered
    }


def test_files_of_documents_are_what_buildkit_makes(engine: Engine) -> None:
    door = Door("buildx", engine.host, engine.root / "config")
    made, known = made_by(door), odd.recorded()
    files = {text: found["files"] for text, found in known.items() if found.get("files")}
    assert len(files) > 20
    assert {text: made[text]["files"] for text in files} == files
