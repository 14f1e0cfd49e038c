"""Builds on an engine behind TLS: the connections that are handed over stay encrypted."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import SPREAD, engine_number
from tests.support import certificates
from tests.support.engine import CHECKOUT, docker_command, link_plugins, private_engine


def test_all_clients_build_through_tls(tmp_path: Path) -> None:
    certificates.make(tmp_path)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{found.getsockname()[1]}"
    flags = [
        *("-H", address, "--tlsverify", "--tlscacert", f"{tmp_path}/ca.pem"),
        *("--tlscert", f"{tmp_path}/server-cert.pem", "--tlskey", f"{tmp_path}/server-key.pem"),
    ]
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM busybox:latest\nCOPY big /\nRUN wc -c < /big\n")
    (context / "big").write_bytes(os.urandom(3 << 20))
    with private_engine(engine_number() + SPREAD, flags) as engine:
        engine.boxship("image", "bootstrap", "busybox")
        environment = {
            **os.environ,
            "DOCKER_TLS_VERIFY": "1",
            "DOCKER_CERT_PATH": str(tmp_path),
            "DOCKER_CONFIG": f"{engine.root}/config",
            "DOCKER_BUILDKIT": "1",
            "BUILDKIT_PROGRESS": "plain",
        }
        launcher = str(CHECKOUT / "src/boxship/cli/launch.py")
        commands = [
            [docker_command("docker-20.10"), "-H", address, "build"],
            [sys.executable, "-I", "-S", launcher, "-H", address, "build"],
        ]
        if link_plugins(engine.root / "config"):
            commands.append([docker_command(), "-H", address, "buildx", "build"])
        for words in commands:
            done = subprocess.run(
                [*words, "--no-cache", str(context)],
                env=environment,
                capture_output=True,
                timeout=60,
                check=False,
                stdin=subprocess.DEVNULL,
            )
            if done.returncode:
                pytest.fail(f"{words}: {done.stderr.decode()}\n{engine.tail()}")
            assert str(3 << 20).encode() in done.stderr
