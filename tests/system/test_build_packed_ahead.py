"""Layers are packed while later steps run: only those of an image, and not for longer than that."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.engine import PATIENCE, Engine, another_number, docker_command, private_engine

SIZE = 12 << 20
FILL = f"head -c {SIZE} /dev/urandom >"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with private_engine(another_number()) as made:
        made.boxship("image", "bootstrap", "busybox")
        yield made


def arriving(engine: Engine) -> list[int]:
    """The sizes of blobs that have not come to their place."""
    found = []
    for path in next(Path(engine.root).glob("data/**/ingest")).iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(path.stat().st_size)
    return found


def sleepers(seconds: str) -> int:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line.strip() for line in listed.stdout.splitlines()].count(f"sleep {seconds}")


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60 * PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


def begin(engine: Engine, folder: Path, dockerfile: str) -> subprocess.Popen[bytes]:
    """Start the client in BuildKit mode."""
    (folder / "Dockerfile").write_text(dockerfile)
    return subprocess.Popen(
        [docker_command("docker-20.10"), "-H", engine.host, "build", "-t", "t:ahead", str(folder)],
        env={**os.environ, "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(folder / "config")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_only_layers_of_the_image_are_packed_and_a_cancelled_build_takes_them_along(
    engine: Engine, tmp_path: Path
) -> None:
    """Another stage, of which only a file is taken, is not; both are done and wait."""
    seconds = "4762.25"
    client = begin(
        engine,
        tmp_path,
        f"FROM busybox AS other\nRUN {FILL} /large\nRUN sleep {seconds}\n"
        f"FROM busybox\nRUN {FILL} /mine\nRUN {FILL} /more\nRUN sleep {seconds}\n"
        "COPY --from=other /large /large\n",
    )
    try:
        wait_until(lambda: sleepers(seconds) == 2)
        wait_until(lambda: sum(arriving(engine)) > 2 * SIZE)
        assert len(arriving(engine)) == 2
    finally:
        client.terminate()
        client.wait()
    wait_until(lambda: not arriving(engine) and not sleepers(seconds))
    assert engine.boxship("system", "check").stdout.strip() == "clean"


def test_what_was_packed_ahead_is_what_the_image_has(engine: Engine, tmp_path: Path) -> None:
    client = begin(
        engine, tmp_path, f"FROM busybox\nRUN {FILL} /one\nRUN sleep 1\nRUN {FILL} /two\n"
    )
    assert client.wait() == 0
    assert not arriving(engine)
    assert engine.boxship("system", "check", "--verify").stdout.strip() == "clean"
    sums = engine.boxship("run", "--rm", "t:ahead", "sha256sum", "/one", "/two").stdout
    saved = tmp_path / "saved"
    engine.docker("save", "-o", str(saved), "t:ahead")
    engine.docker("rmi", "-f", "t:ahead")
    engine.docker("builder", "prune", "-af")
    engine.docker("load", "-i", str(saved))
    assert engine.boxship("run", "--rm", "t:ahead", "sha256sum", "/one", "/two").stdout == sums


def test_a_killed_daemon_leaves_nothing_of_it(tmp_path: Path) -> None:
    seconds = "4763.25"
    with private_engine(another_number()) as engine:
        engine.boxship("image", "bootstrap", "busybox")
        dockerfile = f"FROM busybox\nRUN {FILL} /one\n"
        client = begin(engine, tmp_path, f"{dockerfile}RUN sleep {seconds}\n")
        wait_until(lambda: sum(arriving(engine)) > SIZE)
        engine.kill()
        client.wait()
        engine.start()
        wait_until(lambda: not sleepers(seconds))
        assert not arriving(engine)
        assert engine.boxship("system", "check", "--verify").stdout.strip() == "clean"
        assert begin(engine, tmp_path, f"{dockerfile}RUN sha256sum /one\n").wait() == 0
        assert engine.boxship("system", "check", "--verify").stdout.strip() == "clean"


def test_builds_that_stand_on_one_layer_pack_it_once_and_share_it(
    engine: Engine, tmp_path: Path
) -> None:
    """One that ends takes nothing away from the other."""
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    first = f"FROM busybox\nRUN {FILL} /shared\n"
    clients = [
        begin(engine, folder, f"{first}RUN sleep {seconds}; echo {seconds} > /last\n")
        for folder, seconds in zip(folders, ("4764.25", "2.125"), strict=True)
    ]
    try:
        wait_until(lambda: sleepers("4764.25"))
        clients[0].terminate()
        assert clients[1].wait() == 0
    finally:
        for client in clients:
            client.kill()
            client.wait()
    wait_until(lambda: not arriving(engine) and not sleepers("4764.25"))
    assert engine.boxship("system", "check", "--verify").stdout.strip() == "clean"
