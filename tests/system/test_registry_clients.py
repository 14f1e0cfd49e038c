"""Round trips of real clients through our registry; what comes back has the same digest."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import bcrypt
import pytest
from tests.support import images
from tests.support.engine import PATIENCE, Engine
from tests.support.registry_server import RegistryServer, digest, registry_server

DOCKERD = "/usr/sbin/dockerd"
needs_skopeo = pytest.mark.skipif(not shutil.which("skopeo"), reason="no skopeo")
needs_podman = pytest.mark.skipif(
    not shutil.which("podman") or os.geteuid() != 0, reason="no podman, or not root"
)
needs_dockerd = pytest.mark.skipif(
    not os.path.exists(DOCKERD) or os.geteuid() != 0, reason="no Debian dockerd, or not root"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A registry with tokens, in which everybody may pull and ann may push."""
    folder = tmp_path_factory.mktemp("clients")
    users = folder / "users"
    users.write_text(f"ann:{bcrypt.hashpw(b'secret', bcrypt.gensalt(4)).decode()}\n")
    access = {
        "rules": [
            {"repositories": ["**"], "users": ["anonymous"], "actions": ["pull"]},
            {"repositories": ["**"], "users": ["ann"], "actions": ["*"]},
        ]
    }
    auth = {"tokenserver": {"htpasswd": str(users)}}
    with registry_server(folder, auth=auth, access=access) as made:
        yield made


def run(*command: object, **more: object) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=120 * PATIENCE,
        **more,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def archive(path: Path, tag: str) -> Path:
    """Write an image of two layers, as `docker save` does."""
    layers = [images.archive((f"file{n}", os.urandom(70_000), {})) for n in range(2)]
    path.write_bytes(images.docker_archive(layers, tags=(tag,)))
    return path


def served(server: RegistryServer, name: str, tag: str) -> str:
    """Return the digest that the registry serves for a tag to anybody."""
    token = server.ask(
        "GET", f"/auth/token?service=boxship-registry&scope=repository:{name}:pull"
    ).json()["token"]
    answer = server.ask("GET", f"/v2/{name}/manifests/{tag}", Authorization=f"Bearer {token}")
    assert answer.status == 200
    return digest(answer.body)


@needs_skopeo
@pytest.mark.parametrize("form", ["v2s2", "oci"])
def test_skopeo(server: RegistryServer, tmp_path: Path, form: str) -> None:
    source = archive(tmp_path / "image.tar", "x:1")
    there = f"docker://{server.host}/skopeo/{form}:1"
    push = ("--dest-tls-verify=false", "--dest-creds=ann:secret", "--format", form)
    run("skopeo", "copy", "-q", *push, f"docker-archive:{source}", there)
    back = f"dir:{tmp_path}/back"
    run("skopeo", "copy", "-q", "--src-tls-verify=false", "--src-no-creds", there, back)
    found = digest((tmp_path / "back/manifest.json").read_bytes())
    assert found == served(server, f"skopeo/{form}", "1")
    other = f"docker://{server.host}/skopeo/{form}-copy:1"
    run("skopeo", "copy", "-q", "--src-tls-verify=false", *push[:2], there, other)
    assert served(server, f"skopeo/{form}-copy", "1") == found
    tags = run("skopeo", "list-tags", "--tls-verify=false", f"docker://{server.host}/skopeo/{form}")
    assert json.loads(tags)["Tags"] == ["1"]


@needs_skopeo
def test_skopeo_is_refused_without_the_password(server: RegistryServer, tmp_path: Path) -> None:
    source = archive(tmp_path / "image.tar", "x:1")
    there = f"docker://{server.host}/refused/app:1"
    for login in ("--dest-no-creds", "--dest-creds=ann:wrong"):
        done = subprocess.run(
            [
                *("skopeo", "copy", "-q", "--dest-tls-verify=false", login),
                *(f"docker-archive:{source}", there),
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode != 0
        assert "unauthorized" in done.stderr.lower() or "invalid" in done.stderr.lower()


@needs_podman
def test_podman(server: RegistryServer, tmp_path: Path) -> None:
    source = archive(tmp_path / "image.tar", "localhost/x:1")
    with ExitStack() as undo:
        short = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="bxp")))
        own = ["--root", short / "root", "--runroot", short / "run"]
        podman = ["podman", *own, "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]
        undo.callback(subprocess.run, ["umount", "-l", short / "root/vfs"], capture_output=True)
        run(*podman, "load", "-q", "-i", source)
        there = f"{server.host}/podman/app:1"
        auth = ["--authfile", tmp_path / "auth.json"]
        login = ["--tls-verify=false", "-u", "ann", "--password-stdin", server.host]
        run(*podman, "login", *auth, *login, input="secret")
        digest_file = tmp_path / "digest"
        push = ["--tls-verify=false", "--digestfile", digest_file]
        run(*podman, "push", "-q", *auth, *push, "localhost/x:1", there)
        assert digest_file.read_text() == served(server, "podman/app", "1")
        run(*podman, "rmi", "-a", "-f")
        run(*podman, "pull", "-q", "--tls-verify=false", there)
        shown = run(*podman, "image", "inspect", "--format", "{{.Digest}}", there).strip()
        assert shown == digest_file.read_text()
        run(*podman, "rmi", "-a", "-f")


@contextmanager
def dockerd(folder: Path) -> Iterator[list[str]]:
    """Debian's dockerd with folders of its own; yields the command that talks to it."""
    socket = f"unix://{folder}/docker.sock"
    flags = [f"--data-root={folder}/data", f"--exec-root={folder}/exec"]
    flags += [f"--pidfile={folder}/pid", "--bridge=none", "--iptables=false"]
    flags += ["--storage-driver=vfs", "-H", socket, f"--config-file={folder}/daemon.json"]
    (folder / "daemon.json").write_text("{}")
    with (folder / "dockerd.log").open("ab") as log:
        daemon = subprocess.Popen([DOCKERD, *flags], stdout=log, stderr=log)
    command = ["/usr/bin/docker", "-H", socket, "--config", f"{folder}/config"]
    try:
        deadline = time.monotonic() + 60 * PATIENCE
        while subprocess.run([*command, "version"], capture_output=True).returncode:
            assert daemon.poll() is None, (folder / "dockerd.log").read_text()[-2000:]
            assert time.monotonic() < deadline, "dockerd does not start"
            time.sleep(0.1)
        yield command
    finally:
        daemon.terminate()
        daemon.wait(30 * PATIENCE)
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            if str(folder) in (where := line.split()[4]):
                subprocess.run(["umount", "-l", where], capture_output=True)


@needs_dockerd
@pytest.mark.docker_cli
def test_debians_docker(server: RegistryServer, tmp_path: Path) -> None:
    """login, push in chunks, push again with nothing to send, mount, pull by tag and digest."""
    source = archive(tmp_path / "image.tar", "x:1")
    there = f"{server.host}/docker/app:1"
    with dockerd(tmp_path) as docker:
        run(*docker, "load", "-q", "-i", source)
        login = ["-u", "ann", "--password-stdin", server.host]
        run(*docker, "login", *login, input="secret")
        run(*docker, "tag", "x:1", there)
        pushed = run(*docker, "push", there)
        named = served(server, "docker/app", "1")
        assert f"digest: {named}" in pushed
        assert "Layer already exists" in run(*docker, "push", there)
        other = f"{server.host}/docker/other:1"
        run(*docker, "tag", "x:1", other)
        assert "Mounted from docker/app" in run(*docker, "push", other)
        run(*docker, "rmi", "-f", "x:1", there, other)
        run(*docker, "logout", server.host)
        assert named in run(*docker, "pull", f"{server.host}/docker/other@{named}")
        run(*docker, "pull", there)
        digests = json.loads(run(*docker, "image", "inspect", there))[0]["RepoDigests"]
        assert f"{server.host}/docker/app@{named}" in digests
        refused = subprocess.run(
            [*docker, "push", there], capture_output=True, text=True, timeout=60
        )
        assert refused.returncode != 0
        assert "unauthorized" in refused.stderr or "denied" in refused.stderr


@pytest.mark.docker_cli
@pytest.mark.skipif(os.geteuid() != 0, reason="the engine needs root")
@pytest.mark.parametrize("client", ["docker", "boxship"])
def test_our_engine(server: RegistryServer, engine: Engine, tmp_path: Path, client: str) -> None:
    """docker's client and ours, each through our engine and with a configuration of its own."""
    there = f"{server.host}/engine/{client}:1"
    configured = {**os.environ, "DOCKER_CONFIG": str(tmp_path)}

    def command(*words: str, **more: object) -> str:
        run_client = engine.docker if client == "docker" else engine.boxship
        return str(run_client(*words, env=configured, **more).stdout)

    command("tag", "busybox:latest", there)
    try:
        command("login", "-u", "ann", "--password-stdin", server.host, input="secret")
        pushed = command("push", there)
        named = served(server, f"engine/{client}", "1")
        assert named in pushed
        command("rmi", there)
        command("logout", server.host)
        assert named in command("pull", there)
    finally:
        command("rmi", there, check=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="the engine needs root")
def test_the_registry_as_an_image_that_the_engine_makes_itself(engine: Engine) -> None:
    """`boxship registry image`, then a container of it that is pushed to."""
    assert "boxship/registry:latest" in engine.boxship("registry", "image").stdout
    name = "registry-of-our-own"
    address = ("serve", "--addr", "127.0.0.1:0")
    try:
        engine.boxship(
            "run", "-d", "--name", name, "--network", "host", "boxship/registry", *address
        )
        deadline = time.monotonic() + 30 * PATIENCE
        port = ""
        while not port and time.monotonic() < deadline:
            logs = engine.boxship("logs", name)
            _, _, rest = (logs.stdout + logs.stderr).partition("listens on 127.0.0.1:")
            port = rest.partition('"')[0]
            time.sleep(0.05)
        made = RegistryServer(Path("/nonexistent"), port=int(port))
        data = made.push_image("a", "v1")
        assert made.ask("GET", "/v2/a/manifests/v1").body == data
    finally:
        engine.boxship("rm", "-f", "-v", name, check=False)
        engine.boxship("rmi", "boxship/registry", check=False)
