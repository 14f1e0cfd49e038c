"""Images between the engine and registries, Debian's and ours, by the real docker clients."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support import certificates
from tests.support.debian_registry import debian_registry
from tests.support.engine import Engine, another_number, private_engine
from tests.support.registry_server import RegistryServer

pytestmark = [pytest.mark.root, pytest.mark.docker_cli]


@pytest.fixture(scope="module", params=["debian", "own"])
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The host of Debian's registry, then of ours."""
    folder = tmp_path_factory.mktemp("registry")
    if request.param == "debian":
        with debian_registry(folder) as host:
            yield host
        return
    server = RegistryServer(folder)
    server.start()
    try:
        yield server.host
    finally:
        server.stop()


@pytest.fixture
def name(registry: str, engine: Engine) -> Iterator[str]:
    """A repository that no other test uses; its images go afterwards."""
    path = f"{registry}/test/{uuid.uuid4().hex[:8]}"
    yield path
    with contextlib.closing(engine.api()) as api:
        for image in api.images.list(name=path):
            for tag in image.tags:
                api.images.remove(tag, force=True)


def image_id(engine: Engine, ref: str) -> str:
    return engine.docker("image", "inspect", "-f", "{{.Id}}", ref).stdout.strip()


def own_image(engine: Engine, ref: str) -> str:
    """Make an image with a layer that no other has; return its ID."""
    word = uuid.uuid4().hex
    container = f"make-{word[:8]}"
    write = ["sh", "-c", f"echo {word} >/own"]
    engine.docker("run", "--network=none", "--name", container, "busybox", *write)
    try:
        engine.docker("commit", container, ref)
    finally:
        engine.docker("rm", container)
    return image_id(engine, ref)


def test_an_image_goes_and_comes_back_the_same(engine: Engine, name: str) -> None:
    made = own_image(engine, f"{name}:1")
    said = engine.docker("push", f"{name}:1").stdout
    assert f"The push refers to repository [{name}]" in said
    assert f"1: digest: {made} size: " in said
    engine.docker("rmi", f"{name}:1")
    said = engine.docker("pull", f"{name}:1").stdout
    assert "Pull complete" in said
    assert f"Digest: {made}\n" in said
    assert f"Status: Downloaded newer image for {name}:1" in said
    assert image_id(engine, f"{name}:1") == made
    assert engine.docker("run", "--rm", "--network=none", f"{name}:1", "echo", "x").stdout == "x\n"
    assert "Image is up to date" in engine.docker("pull", f"{name}:1").stdout


def test_by_digest_no_tag_is_made(engine: Engine, name: str) -> None:
    made = own_image(engine, f"{name}:1")
    engine.docker("push", f"{name}:1")
    engine.docker("rmi", f"{name}:1")
    engine.docker("pull", f"{name}@{made}")
    listed = engine.docker("images", "--digests", "--format", "{{.Tag}} {{.Digest}}", name).stdout
    assert listed == f"<none> {made}\n"
    engine.docker("run", "--rm", "--network=none", f"{name}@{made}", "true")
    engine.docker("rmi", f"{name}@{made}")


def test_all_tags_go_and_come(engine: Engine, name: str) -> None:
    ids = {tag: own_image(engine, f"{name}:{tag}") for tag in ("1", "2", "last")}
    engine.docker("push", "-a", name)
    engine.docker("rmi", *(f"{name}:{tag}" for tag in ids))
    engine.docker("pull", "-a", name)
    assert {tag: image_id(engine, f"{name}:{tag}") for tag in ids} == ids


def test_a_blob_of_another_repository_is_mounted(engine: Engine, name: str) -> None:
    own_image(engine, f"{name}:1")
    engine.docker("push", f"{name}:1")
    engine.docker("tag", f"{name}:1", f"{name}/other:1")
    assert f"Mounted from {name.partition('/')[2]}" in (
        engine.docker("push", f"{name}/other:1").stdout
    )
    assert "Layer already exists" in engine.docker("push", f"{name}/other:1").stdout


def test_what_is_not_there_is_said_as_docker_says_it(engine: Engine, name: str) -> None:
    done = engine.docker("pull", f"{name}:none", check=False)
    assert done.returncode == 1
    assert f"manifest for {name}:none not found: manifest unknown" in done.stderr
    done = engine.docker("push", f"{name}:none", check=False)
    assert f"tag does not exist: {name}:none" in done.stdout + done.stderr


def test_docker_py_hears_every_message(engine: Engine, name: str) -> None:
    made = own_image(engine, f"{name}:1")
    with contextlib.closing(engine.api()) as api:
        said = list(api.api.push(name, tag="1", stream=True, decode=True))
        assert {"Tag": "1", "Digest": made} == {
            k: v for k, v in said[-1]["aux"].items() if k != "Size"
        }
        about = api.images.get_registry_data(f"{name}:1")
        assert about.id == made
        assert about.has_platform("linux/amd64")
        api.images.remove(f"{name}:1")
        said = list(api.api.pull(name, tag="1", stream=True, decode=True))
        layers = {one["id"] for one in said if one.get("status") == "Pull complete"}
        assert layers
        assert all("progressDetail" in one for one in said if one.get("id") in layers)
        with pytest.raises(docker.errors.NotFound):
            api.images.pull(name, tag="none")


def test_pulls_and_pushes_are_announced(engine: Engine, name: str) -> None:
    own_image(engine, f"{name}:1")
    engine.docker("push", f"{name}:1")
    engine.docker("pull", f"{name}:1")
    with contextlib.closing(engine.api()) as api:
        span = {"since": int(time.time()) - 60, "until": int(time.time()) + 1}
        wanted = {"event": ["push", "pull"]}
        shown = list(api.events(decode=True, filters=wanted, **span))
    seen = [one for one in shown if one["Actor"]["ID"] == f"{name}:1"]
    assert [one["Action"] for one in seen] == ["push", "pull"]
    assert seen[0]["Actor"]["Attributes"]["name"] == name


def test_skopeo_sees_the_same_image(engine: Engine, name: str, tmp_path: Path) -> None:
    """Pushed, copied by another program and pulled again, an image is the same bytes."""
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed")
    made = own_image(engine, f"{name}:1")
    engine.docker("push", f"{name}:1")
    skopeo(
        tmp_path,
        "copy",
        "--all",
        "--preserve-digests",
        f"docker://{name}:1",
        f"docker://{name}/copy:1",
    )
    assert json.loads(skopeo(tmp_path, "inspect", f"docker://{name}/copy:1"))["Digest"] == made
    engine.docker("rmi", f"{name}:1")
    engine.docker("pull", f"{name}/copy:1")
    assert image_id(engine, f"{name}/copy:1") == made


def skopeo(home: Path, *words: str) -> str:
    command = ["skopeo", "--insecure-policy", words[0]]
    plain = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    command += plain if words[0] == "copy" else ["--tls-verify=false"]
    done = subprocess.run(
        [*command, *words[1:]],
        capture_output=True,
        text=True,
        check=True,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(home)},
    )
    return done.stdout


def test_a_password_is_asked_for_and_kept(engine: Engine, tmp_path: Path) -> None:
    with debian_registry(tmp_path / "r", user="alice", password="secret") as host:
        ref = f"{host}/private:1"
        made = own_image(engine, ref)
        assert engine.docker("push", ref, check=False).returncode
        wrong = engine.docker("login", "-u", "alice", "-p", "wrong", host, check=False)
        assert wrong.returncode
        assert "unauthorized" in wrong.stderr
        assert (
            "Login Succeeded" in engine.docker("login", "-u", "alice", "-p", "secret", host).stdout
        )
        engine.docker("push", ref)
        engine.docker("rmi", ref)
        engine.docker("pull", ref)
        assert image_id(engine, ref) == made
        engine.docker("logout", host)
        engine.docker("rmi", ref)
        refused = engine.docker("pull", ref, check=False)
        assert "pull access denied" in refused.stderr
        assert "docker login" in refused.stderr


def test_a_registry_s_own_authority_and_client_certificate(tmp_path: Path) -> None:
    """certs.d: without the authority nothing is believed; with it, and a certificate, all is."""
    made = certificates.make_for_registry(tmp_path / "made", client=True)
    with (
        debian_registry(tmp_path / "r", tls=made) as host,
        private_engine(another_number()) as engine,
    ):
        engine.boxship("image", "bootstrap", "busybox")
        engine.docker("tag", "busybox", f"{host}/x:1")
        refused = engine.docker("push", f"{host}/x:1", check=False)
        assert "remote error: tls: " in refused.stdout + refused.stderr
        place = Path("/etc/boxship/certs.d") / host
        place.mkdir(parents=True)
        try:
            for file in ("ca.crt", "client.cert", "client.key"):
                shutil.copy(made / file, place)
            engine.docker("push", f"{host}/x:1")
            assert "up to date" in engine.docker("pull", f"{host}/x:1").stdout
        finally:
            shutil.rmtree(place)
        with contextlib.suppress(OSError):
            place.parent.rmdir()
