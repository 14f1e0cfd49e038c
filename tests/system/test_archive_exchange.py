"""Archives of images between this engine, skopeo and podman, and between two engines by docker."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import images as made
from tests.support.engine import PATIENCE, Engine, docker_command

pytestmark = [pytest.mark.root, pytest.mark.docker_cli]
Pair = tuple[str, str]


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def pair(engine: Engine, tmp_path: Path) -> Iterator[Pair]:
    """Two images that share a layer larger than a document may be, packed in one archive."""
    mark = uuid.uuid4().hex[:8]
    shared = made.archive(("shared", mark.encode() * (1 << 19), {}))
    names = (f"localhost/one-{mark}:1", f"localhost/two-{mark}:1")
    for name, layers in (
        (names[0], [shared]),
        (names[1], [shared, made.archive(("own", mark.encode(), {}))]),
    ):
        path = tmp_path / "made.tar"
        path.write_bytes(made.docker_archive(layers, tags=[name]))
        engine.docker("load", "-i", str(path))
    yield names
    for name in names:
        engine.docker("rmi", "-f", name, check=False)
    engine.docker("image", "prune", "-f")


def layers(engine: Engine, name: str) -> list[str]:
    (shown,) = json.loads(engine.docker("image", "inspect", name).stdout)
    found: list[str] = shown["RootFS"]["Layers"]
    return found


def saved(engine: Engine, path: Path, *names: str) -> Path:
    engine.docker("save", "-o", str(path), *names)
    return path


def test_skopeo_reads_what_is_saved_in_either_form(
    engine: Engine, pair: Pair, tmp_path: Path
) -> None:
    skopeo = program("skopeo")
    both = saved(engine, tmp_path / "both.tar", *pair)
    one = saved(engine, tmp_path / "one.tar", pair[0])
    for source in (
        f"docker-archive:{both}:{pair[1]}",
        f"docker-archive:{one}",
        f"oci-archive:{one}",
    ):
        shown = json.loads(run(skopeo, "inspect", "--config", source))
        name = pair[1] if pair[1] in source else pair[0]
        assert shown["rootfs"]["diff_ids"] == layers(engine, name)


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_what_skopeo_writes_is_loaded(
    engine: Engine, pair: Pair, tmp_path: Path, kind: str
) -> None:
    skopeo = program("skopeo")
    before = layers(engine, pair[1])
    source = f"docker-archive:{saved(engine, tmp_path / 'a.tar', pair[1])}"
    run(skopeo, "copy", "-q", source, f"{kind}:{tmp_path}/b.tar:{pair[1]}")
    engine.docker("rmi", pair[1])
    assert engine.docker("load", "-i", f"{tmp_path}/b.tar").stdout == f"Loaded image: {pair[1]}\n"
    assert layers(engine, pair[1]) == before


def test_podman_and_this_engine_read_each_other(engine: Engine, pair: Pair, tmp_path: Path) -> None:
    short = tempfile.mkdtemp(prefix="bxp-")  # podman refuses long paths
    podman = [program("podman"), "--root", f"{short}/p", "--runroot", f"{short}/r"]
    podman += ["--storage-driver", "vfs", "--events-backend", "none"]
    before = [layers(engine, name) for name in pair]
    run(*podman, "load", "-q", "-i", str(saved(engine, tmp_path / "a.tar", *pair)))
    try:
        archives = {"docker-archive": ["-m", *pair], "oci-archive": [pair[0]]}
        for kind, words in archives.items():
            run(*podman, "save", "-q", "--format", kind, "-o", f"{tmp_path}/{kind}.tar", *words)
            engine.docker("rmi", *[word for word in words if word != "-m"])
            engine.docker("load", "-i", f"{tmp_path}/{kind}.tar")
            assert [layers(engine, name) for name in pair] == before
    finally:
        run(*podman, "rmi", "-af")
        shutil.rmtree(short)


def test_a_pipe_between_two_commands_moves_several_images(engine: Engine, pair: Pair) -> None:
    ids = [engine.docker("image", "inspect", "-f", "{{.Id}}", name).stdout for name in pair]
    docker = f"{docker_command()} -H {engine.host}"
    said = run("sh", "-c", f"{docker} save {' '.join(pair)} | {docker} load")
    assert said == "".join(f"Loaded image: {name}\n" for name in pair)
    again = [engine.docker("image", "inspect", "-f", "{{.Id}}", name).stdout for name in pair]
    assert again == ids
