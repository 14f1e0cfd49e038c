"""Images that go through a registry to podman and to Debian's dockerd, and back."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.debian_registry import debian_registry
from tests.support.engine import PATIENCE, Engine, docker_command
from tests.support.faulty_registry import wait_until

pytestmark = [pytest.mark.root, pytest.mark.docker_cli]


@pytest.fixture
def pushed(engine: Engine, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """A registry with an image of ours; its host, and the image's ID."""
    with debian_registry(tmp_path / "registry") as host:
        engine.docker("tag", "busybox", f"{host}/ours:1")
        engine.docker("push", f"{host}/ours:1")
        yield host, engine.docker("image", "inspect", "-f", "{{.Id}}", "busybox").stdout.strip()
        for name in ("ours:1", "theirs:1"):
            engine.docker("rmi", f"{host}/{name}", check=False)


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def comes_back(engine: Engine, host: str) -> str:
    """Pull what the other engine has pushed, and run it; return its ID."""
    engine.docker("pull", f"{host}/theirs:1")
    said = engine.docker("run", "--rm", "--network=none", f"{host}/theirs:1", "echo", "back").stdout
    assert said == "back\n"
    return engine.docker("image", "inspect", "-f", "{{.Id}}", f"{host}/theirs:1").stdout.strip()


def test_podman_gets_the_same_image_and_gives_it_back(
    engine: Engine, pushed: tuple[str, str], request: pytest.FixtureRequest
) -> None:
    if shutil.which("podman") is None:
        pytest.skip("podman is not installed")
    host, made = pushed
    place = tempfile.mkdtemp(prefix="pod-", dir="/tmp")  # podman wants its paths short
    request.addfinalizer(lambda: shutil.rmtree(place, ignore_errors=True))
    podman = ["podman", f"--root={place}/root", f"--runroot={place}/run"]
    podman += ["--storage-driver=vfs"]
    run(*podman, "pull", "-q", "--tls-verify=false", f"{host}/ours:1")
    assert run(*podman, "image", "inspect", "--format={{.Digest}}", f"{host}/ours:1") == made
    run(*podman, "tag", f"{host}/ours:1", f"{host}/theirs:1")
    run(*podman, "push", "-q", "--tls-verify=false", f"{host}/theirs:1")
    assert comes_back(engine, host) == made


@pytest.mark.slow
def test_dockerd_gets_the_same_image_and_gives_one_back(
    engine: Engine, pushed: tuple[str, str], tmp_path: Path
) -> None:
    program = shutil.which("dockerd", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("Debian's dockerd is not installed")
    host, made = pushed
    root, socket = tmp_path / "d", f"unix://{tmp_path}/d/s"
    root.mkdir()
    roots = [f"--data-root={root}/data", f"--exec-root={root}/x", f"--pidfile={root}/pid"]
    command = [program, *roots, "-H", socket, "--bridge=none", "--iptables=false"]
    docker = [docker_command(), "-H", socket]
    with subprocess.Popen([*command, "--storage-driver=vfs"], stderr=subprocess.DEVNULL) as daemon:
        try:
            wait_until(
                lambda: not subprocess.run([*docker, "version"], capture_output=True).returncode, 60
            )
            said = run(*docker, "pull", f"{host}/ours:1")
            assert f"Digest: {made}" in said
            run(*docker, "tag", f"{host}/ours:1", f"{host}/theirs:1")
            said = run(*docker, "push", f"{host}/theirs:1")
            # that engine writes manifests of its own for what it pushes
            assert f"1: digest: {comes_back(engine, host)}" in said
        finally:
            daemon.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(20 * PATIENCE)
            # one that was stopped before it was ready leaves its root mounted
            subprocess.run(["umount", "-l", f"{root}/data"], capture_output=True, check=False)
