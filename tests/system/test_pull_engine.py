"""Pulls by a whole engine: mirrors of the hub, credentials in headers, clients that leave."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator

import docker
import pytest
from tests.support import images as made
from tests.support.engine import PATIENCE, Engine, docker_command
from tests.support.faulty_registry import Answer, FaultyRegistry, two, wait_until

pytestmark = pytest.mark.root
LAYERS = [made.archive((f"{n}", os.urandom(200_000), {})) for n in range(3)]


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as running:
        yield running


def stored(engine: Engine) -> tuple[list[str], list[str]]:
    """What content the engine's store has, and what is arriving or was kept of what did."""
    root = f"{engine.root}/data/blobs"
    arriving = [*os.listdir(f"{root}/ingest"), *os.listdir(f"{root}/partial")]
    return sorted(os.listdir(f"{root}/sha256")), sorted(arriving)


def test_the_hub_is_asked_at_its_mirrors(own_engine: Engine) -> None:
    """With two mirrors, the first of which fails, a short name is pulled from the second."""
    own_engine.stop()
    with two() as (broken, mirror):
        broken.when("*", "", Answer(500))
        digest = mirror.add("library/thing", "latest", LAYERS)
        settings = {
            "registry-mirrors": [broken.origin, mirror.origin],
            "max-download-attempts": 1,
        }
        (own_engine.root / "daemon.json").write_text(json.dumps(settings))
        own_engine.start()
        said = own_engine.docker("pull", "thing").stdout
        assert "latest: Pulling from library/thing" in said
        assert f"Digest: {digest}" in said
        assert broken.seen
        assert (
            own_engine.docker("image", "inspect", "-f", "{{.Id}}", "thing").stdout.strip() == digest
        )
        assert "authorization" not in {name for one in mirror.seen for name in one.headers}
        # a registry of any name may have mirrors, and they change while the daemon runs
        mirror.add("quay/team/app", "1", LAYERS)
        settings["registries"] = {"quay.test": {"mirrors": [f"{mirror.origin}/quay"]}}
        (own_engine.root / "daemon.json").write_text(json.dumps(settings))
        assert own_engine.process is not None
        own_engine.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "configuration reloaded" in own_engine.tail())
        own_engine.docker("pull", "quay.test/team/app:1")


def test_a_client_that_leaves_ends_its_pull(engine: Engine, registry: FaultyRegistry) -> None:
    registry.add("a/b", "1", LAYERS)
    before = stored(engine)
    last = json.loads(registry.manifests["a/b", "1"][1])["layers"][2]["digest"]
    registry.when("GET", last, Answer(body=registry.blobs[last], pause_after=1000), times=1)
    name = f"{registry.host}/a/b:1"
    with subprocess.Popen(
        [docker_command(), "-H", engine.host, "pull", name],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as client:
        wait_until(lambda: bool(registry.asked("GET", last)))
        wait_until(lambda: len(stored(engine)[0]) == len(before[0]) + 4)  # all but the last layer
        wait_until(lambda: last.removeprefix("sha256:") in stored(engine)[1])
        client.send_signal(signal.SIGINT)
    wait_until(lambda: stored(engine) == before)
    with contextlib.closing(engine.api()) as api:
        assert api.images.pull(f"{registry.host}/a/b", tag="1").id
        api.images.remove(name)
    assert stored(engine) == before


def test_credentials_come_in_a_header(engine: Engine, registry: FaultyRegistry) -> None:
    registry.add("a/b", "1", LAYERS)
    basic = "Basic " + base64.b64encode(b"alice:secret").decode()
    registry.want_password(basic)
    name = f"{registry.host}/a/b"
    with contextlib.closing(engine.api()) as api:
        with pytest.raises(docker.errors.NotFound, match="pull access denied"):
            api.images.pull(name, tag="1")
        own = {"username": "alice", "password": "secret"}
        others = {**own, "serveraddress": "elsewhere.example"}
        with pytest.raises(docker.errors.NotFound, match="pull access denied"):
            api.images.pull(name, tag="1", auth_config=others)
        api.images.pull(name, tag="1", auth_config=own)
        wrong = {"username": "alice", "password": "wrong"}
        with pytest.raises(docker.errors.APIError, match="unauthorized"):
            api.images.get_registry_data(f"{name}:1", auth_config=wrong)
        api.images.remove(f"{name}:1")
    sent = {one.headers.get("authorization") for one in registry.seen}
    assert sent == {None, basic, "Basic " + base64.b64encode(b"alice:wrong").decode()}
    assert "secret" not in engine.tail()


def test_a_log_in_gives_the_identity_token(engine: Engine, registry: FaultyRegistry) -> None:
    registry.give_tokens(refresh_token="keep-this")
    registry.want_token(f"{registry.origin}/token")
    with contextlib.closing(engine.api()) as api:
        said = api.login("alice", "secret", registry=registry.host, reauth=True)
    assert said == {"Status": "Login Succeeded", "IdentityToken": "keep-this"}


def test_a_search_asks_the_index_of_the_registry(engine: Engine, registry: FaultyRegistry) -> None:
    found = [
        {"name": f"repo{n}", "description": None, "star_count": n, "is_official": n == 3}
        for n in range(5)
    ]
    registry.when("GET", "^/v1/search", Answer(body=json.dumps({"results": found}).encode()))
    words = ["search", "--format", "{{.Name}} {{.StarCount}}"]
    said = engine.docker(*words, "--filter", "stars=3", f"{registry.host}/repo").stdout
    assert said.split() == ["repo3", "3", "repo4", "4"]
    assert registry.seen[-1].query == {"q": ["repo"], "n": ["25"]}
    said = engine.docker(*words, "--filter", "is-official=true", f"{registry.host}/repo").stdout
    assert said.split() == ["repo3", "3"]
    assert engine.docker("search", "--limit", "101", "x", check=False).returncode


def test_a_daemon_that_stops_ends_its_pulls(own_engine: Engine, registry: FaultyRegistry) -> None:
    registry.add("a/b", "1", LAYERS)
    last = json.loads(registry.manifests["a/b", "1"][1])["layers"][2]["digest"]
    registry.when("GET", last, Answer(body=registry.blobs[last], pause_after=1000), times=1)
    command = [docker_command(), "-H", own_engine.host, "pull", f"{registry.host}/a/b:1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
        wait_until(lambda: len(stored(own_engine)[0]) == 4)  # all but the last layer
        own_engine.stop()
        assert client.wait(30 * PATIENCE)
    assert stored(own_engine) == ([], [])
    own_engine.start()
    own_engine.docker("pull", f"{registry.host}/a/b:1")
