"""Engines that are reached over TLS and over a real sshd, on loopback."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support import certificates
from tests.support.engine import CHECKOUT, PATIENCE, Engine, docker_command, private_engine

SSHD = "/usr/sbin/sshd"
SEPARATION = "/run/sshd"  # sshd does not start without this folder


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def behind_tls(number: int, folder: Path) -> Iterator[tuple[Engine, str]]:
    """An engine and its address for clients that prove who they are, with what is in `folder`."""
    certificates.make(folder)
    address = f"tcp://127.0.0.1:{free_port()}"
    flags = [
        *("-H", address, "--tlsverify", "--tlscacert", f"{folder}/ca.pem"),
        *("--tlscert", f"{folder}/server-cert.pem", "--tlskey", f"{folder}/server-key.pem"),
    ]
    with private_engine(number, flags) as engine:
        yield engine, address


def proving(folder: Path) -> Mapping[str, str]:
    """Return the variables by which clients prove who they are."""
    return {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(folder)}


@contextlib.contextmanager
def sshd() -> Iterator[tuple[str, dict[str, str]]]:
    """An sshd with keys of its own, which lets root in by one key only.

    Yields its host and port, and the environment in which `ssh` has that key. Over there, the
    commands of this checkout and the real docker are found.
    """
    if not os.path.exists(SSHD):
        pytest.skip("sshd is not installed")
    with tempfile.TemporaryDirectory(prefix="bx-sshd-") as place, contextlib.ExitStack() as undo:
        folder = Path(place)
        for name in ("host", "user"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"]
            subprocess.run(words, check=True)
        here, there = folder / "here", folder / "there"
        for one in (here, there):
            one.mkdir()
        (there / "boxship").symlink_to(CHECKOUT / "boxship")
        (there / "docker").symlink_to(docker_command())
        (here / "ssh").write_text(
            f"#!/bin/sh\nexec {shutil.which('ssh')} -F none -i {folder}/user "
            f'-o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known "$@"\n'
        )
        (here / "ssh").chmod(0o755)
        port = free_port()
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/user.pub\nPermitRootLogin prohibit-password\n"
            "StrictModes no\nUsePAM no\n"
            f'ForceCommand PATH={there}:$PATH sh -c "$SSH_ORIGINAL_COMMAND"\n'
        )
        if not os.path.isdir(SEPARATION):
            os.mkdir(SEPARATION, 0o755)
            undo.callback(os.rmdir, SEPARATION)
        with (folder / "log").open("wb") as log:
            daemon = subprocess.Popen([SSHD, "-D", "-e", "-f", f"{folder}/sshd_config"], stderr=log)
        undo.callback(daemon.wait, 10)
        undo.callback(daemon.terminate)
        _wait_ready(port, folder / "log")
        yield f"127.0.0.1:{port}", {**os.environ, "PATH": f"{here}:{os.environ['PATH']}"}


def _wait_ready(port: int, log: Path) -> None:
    deadline = time.monotonic() + 10 * PATIENCE
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), 1) as tried,
        ):
            if tried.recv(8).startswith(b"SSH-2.0"):
                return
        time.sleep(0.02)
    raise AssertionError(f"sshd does not answer: {log.read_text(errors='replace')}")
