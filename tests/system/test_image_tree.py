"""`images --tree`, beside the real docker command."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import BOXSHIP
from tests.support.recorded import drawn, recording

pytestmark = pytest.mark.docker_cli


def manifest(digit: str, platform: str, total: int, content: int, **members: Any) -> dict[str, Any]:
    keys = ("os", "architecture", "variant")
    data = {
        "Platform": dict(zip(keys, platform.split("/"), strict=False)),
        "Containers": members.pop("containers", []),
        "Size": {"Unpacked": total - content},
    }
    digest = f"sha256:{digit * 64}"
    return {
        "ID": digest,
        "Descriptor": {"mediaType": "x", "digest": digest, "size": 1},
        "Available": True,
        "Size": {"Total": total, "Content": content},
        "Kind": "image",
        "ImageData": data,
    } | members


def attestation(digit: str) -> dict[str, Any]:
    made = manifest(digit, "unknown/unknown", 9, 9)
    del made["ImageData"]
    return made | {"Kind": "attestation", "AttestationData": {"For": f"sha256:{'a' * 64}"}}


def image(digit: str, names: list[str], size: int, *manifests: dict[str, Any]) -> dict[str, Any]:
    return {
        "Id": f"sha256:{digit * 64}",
        "RepoTags": names,
        "RepoDigests": [],
        "Created": 1_700_000_000 + int(digit),
        "Size": size,
        "SharedSize": -1,
        "Labels": {},
        "Containers": 0,
        "Manifests": list(manifests),
    }


IMAGES = [
    image(
        "1",
        ["multi/app:latest", f"localhost:5000/a/very/{'long/' * 8}name:v1.2.3"],
        123_456_789,
        manifest("a", "linux/amd64", 12_345_678, 2_345_678, containers=["c1"]),
        manifest("b", "linux/arm64/v8", 5000, 5000),
        manifest("c", "linux/s390x", 0, 0, Available=False),
        manifest("d", "linux/arm/v7", 77, 77),
        attestation("9"),
    ),
    image("2", ["single:1"], 4_117_216, manifest("e", "linux/amd64", 4_117_216, 2_134_282)),
    image("3", [], 1, manifest("f", "linux/amd64", 1000, 1000)),
    image("4", [], 1, manifest("0", "linux/amd64", 1000, 1000)) | {"RepoDigests": ["x@sha256:4"]},
]


@pytest.fixture(params=[IMAGES, IMAGES[1:2], []], ids=["several", "one", "none"])
def engine_with(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with recording(tmp_path / "engine", json.dumps(request.param).encode()) as host:
        yield host


@pytest.mark.parametrize("all", [[], ["--all"]])
def test_a_tree_is_written_as_docker_writes_it(engine_with: str, all: list[str]) -> None:
    words = ["-H", engine_with, "images", "--tree", *all]
    said = [
        subprocess.run([*command, *words], capture_output=True, check=True).stdout
        for command in ([shutil.which("docker") or ""], BOXSHIP)
    ]
    assert said[0] == said[1]


@pytest.mark.parametrize("columns", [200, 100, 60, 30])
def test_a_tree_is_drawn_as_docker_draws_it(engine_with: str, columns: int) -> None:
    words = ["-H", engine_with, "images", "--tree"]
    docker = drawn([shutil.which("docker") or "", *words], columns)
    assert drawn([*BOXSHIP, *words], columns) == docker
