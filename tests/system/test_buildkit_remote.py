"""Builds on an engine behind TLS: the connections that are handed over stay encrypted."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.engine import (
    BOXSHIP,
    PATIENCE,
    SPREAD,
    docker_command,
    engine_number,
    link_plugins,
)
from tests.support.remote import behind_tls, proving


def test_all_clients_build_through_tls(tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox:latest\nCOPY big /\nRUN wc -c < /big\n")
    (context / "big").write_bytes(os.urandom(3 << 20))
    with behind_tls(engine_number() + SPREAD, tmp_path) as (engine, address):
        engine.boxship("image", "bootstrap", "busybox")
        environment = {
            **os.environ,
            **proving(tmp_path),
            "DOCKER_CONFIG": f"{engine.root}/config",
            "DOCKER_BUILDKIT": "1",
            "BUILDKIT_PROGRESS": "plain",
        }
        commands = [
            [docker_command("docker-20.10"), "-H", address, "build"],
            [*BOXSHIP, "-H", address, "build"],
        ]
        if link_plugins(engine.root / "config"):
            commands.append([docker_command(), "-H", address, "buildx", "build"])
        for words in commands:
            done = subprocess.run(
                [*words, "--no-cache", str(context)],
                env=environment,
                capture_output=True,
                timeout=60 * PATIENCE,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            if done.returncode:
                pytest.fail(f"{words}: {done.stderr.decode()}\n{engine.tail()}")
            assert str(3 << 20).encode() in done.stderr
