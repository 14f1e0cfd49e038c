"""The distribution's dockerd, for comparison: private roots and socket, no bridge, no rules."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.engine import CLIENTS, PATIENCE

READY_WITHIN = 40.0


@dataclass(frozen=True)
class Dockerd:
    """One dockerd, and the client of its own version."""

    root: Path
    is_old: bool = True  # the distribution's: 20.10

    @property
    def host(self) -> str:
        return f"unix://{self.root}/s"

    def docker(
        self, *words: str, check: bool = True, buildkit: bool = False, **options: object
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the distribution's docker command against it."""
        environment = {
            **os.environ,
            "DOCKER_CONFIG": f"{self.root}/config",
            "DOCKER_BUILDKIT": str(int(buildkit)),
            "BUILDKIT_PROGRESS": "plain",
        }
        done = subprocess.run(
            [distribution_docker(), "-H", self.host, *words],
            capture_output=True,
            check=False,
            timeout=180 * PATIENCE,
            env=environment,
            **options,  # type: ignore[call-overload]
        )
        assert not check or done.returncode == 0, done.stderr.decode()
        return done  # type: ignore[no-any-return]


def distribution_docker() -> str:
    """Return the docker command that comes with the distribution's dockerd."""
    if not os.access("/usr/bin/docker", os.X_OK):
        pytest.skip("the distribution's docker command is not installed")
    return "/usr/bin/docker"


def modern_dockerd() -> str:
    """Return Debian 13's dockerd, which `packaging/setup/clients --dockerd` fetches."""
    found = os.environ.get("MODERN_DOCKERD") or str(CLIENTS / "dockerd-26")
    if not os.access(found, os.X_OK):
        pytest.skip("no modern dockerd: packaging/setup/clients --dockerd fetches one")
    return found


@contextlib.contextmanager
def private_dockerd(program: str | None = None, **settings: object) -> Iterator[Dockerd]:
    """A dockerd for the block, with what is set in its daemon.json; nothing of it is left."""
    root = Path(tempfile.mkdtemp(prefix="bxd-", dir="/tmp"))
    daemon = Dockerd(root, is_old=program is None)
    program = program or shutil.which("dockerd", path="/usr/sbin:/usr/bin")
    if not program:
        pytest.skip("the distribution's dockerd is not installed")
    (root / "daemon.json").write_text(json.dumps(settings))
    log = (root / "log").open("wb")
    process = subprocess.Popen(
        [
            program,
            "--data-root", f"{root}/data",
            "--exec-root", f"{root}/x",
            "--pidfile", f"{root}/pid",
            "--config-file", f"{root}/daemon.json",
            "--bridge=none",
            "--iptables=false",
            "-H", daemon.host,
        ],
        stdout=log,
        stderr=log,
        start_new_session=True,
    )  # fmt: skip
    try:
        _wait(daemon, process)
        yield daemon
    finally:
        log.close()
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20 * PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _unmount(root)
        shutil.rmtree(root, ignore_errors=True)


def _wait(daemon: Dockerd, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.skip(f"dockerd does not run here: {(daemon.root / 'log').read_text()[-500:]}")
        if daemon.docker("version", check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError((daemon.root / "log").read_text()[-2000:])


def _unmount(root: Path) -> None:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [line.split()[4] for line in mounts if line.split()[4].startswith(f"{root}/")]
    for point in reversed(points):
        subprocess.run(["umount", "-l", point], capture_output=True, check=False)
