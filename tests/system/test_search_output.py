"""What a search prints, beside the real docker command."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engine import BOXSHIP
from tests.support.recorded import recording

pytestmark = pytest.mark.docker_cli


def hit(name: str, description: str, stars: int, *, official: bool = False) -> dict[str, object]:
    return {
        "name": name,
        "description": description,
        "star_count": stars,
        "is_official": official,
        "is_automated": False,
    }


HITS = [
    hit("busybox", "Busybox base image.", 3000, official=True),
    hit("user/long", "A description that is longer than what fits into its column, by far", 7),
    hit("user/exact", "x" * 45, 2),
    hit("user/lines", "one\ntwo\r\nthree <&>", 1),
    hit("user/wide", "äöü 日本語 " * 6, 0),
    hit("user/empty", "", 0),
]


@pytest.fixture
def engine_with(tmp_path: Path) -> Iterator[str]:
    with recording(tmp_path / "engine", json.dumps(HITS).encode()) as host:
        yield host


@pytest.mark.parametrize(
    "words",
    [
        ["busybox"],
        ["--no-trunc", "busybox"],
        ["--format", "{{.Name}}: {{.StarCount}} {{.IsOfficial}}", "busybox"],
        ["--format", "table {{.Name}}\t{{.Description}}", "busybox"],
        ["--limit", "3", "--filter", "stars=3", "busybox"],
        ["--format", "json", "busybox"],
        [],
        ["a", "b"],
    ],
)
def test_a_search_prints_what_docker_prints(engine_with: str, words: list[str]) -> None:
    said = [
        subprocess.run(
            [*command, "-H", engine_with, "search", *words], capture_output=True, check=False
        )
        for command in ([shutil.which("docker") or ""], BOXSHIP)
    ]
    docker, ours = ((one.returncode, one.stdout.decode(), one.stderr.decode()) for one in said)
    assert ours == (docker[0], docker[1], docker[2].replace("docker", "boxship"))
