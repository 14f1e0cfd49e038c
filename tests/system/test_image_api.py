"""What the image calls say of platforms, attestations and origins, and what a crash leaves."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import images as made
from tests.support.debian_registry import debian_registry
from tests.support.engine import CHECKOUT, PATIENCE, Engine

pytestmark = [pytest.mark.root, pytest.mark.docker_cli]
ARM = json.dumps({"os": "linux", "architecture": "arm64"})


def load(engine: Engine, data: bytes) -> None:
    with contextlib.closing(engine.api()) as api:
        api.images.load(data)


@pytest.fixture
def multi(engine: Engine) -> Iterator[tuple[str, list[str]]]:
    """An image for two platforms: its ID and those of its manifests."""
    data, index, manifests = made.indexed(("linux", "arm64"), ("linux", "amd64"))
    load(engine, data)
    yield made.sha256(index), [made.sha256(one) for one in manifests]
    engine.docker("rmi", "-f", "multi:1", check=False)


def get(engine: Engine, path: str, **query: object) -> Any:
    with contextlib.closing(engine.api()) as api:
        answer = api.api.get(f"{api.api.base_url}{path}", params=query)
        answer.raise_for_status()
        return answer.json()


def test_docker_chooses_among_platforms(engine: Engine, multi: Any, tmp_path: Path) -> None:
    shown = ("image", "inspect", "-f", "{{.Architecture}}", "--platform")
    assert engine.docker(*shown, "linux/arm64", "multi:1").stdout == "arm64\n"
    assert engine.docker(*shown, "linux/amd64", "multi:1").stdout == "amd64\n"
    refused = engine.docker(*shown, "linux/s390x", "multi:1", check=False)
    assert "does not match the specified platform" in refused.stderr
    assert engine.docker("history", "--platform", "linux/arm64", "multi:1").stdout.count("\n") == 2
    archive = f"{tmp_path}/arm.tar"
    engine.docker("save", "--platform", "linux/arm64", "-o", archive, "multi:1")
    engine.docker("rmi", "multi:1")
    refused = engine.docker("load", "--platform", "linux/amd64", "-i", archive, check=False)
    assert "does not match the specified platform" in refused.stderr
    assert engine.docker("load", "--platform", "linux/arm64", "-i", archive).returncode == 0
    assert engine.docker(*shown, "linux/arm64", "multi:1").stdout == "arm64\n"


def test_docker_removes_one_platform(engine: Engine, multi: Any) -> None:
    id, (arm, _) = multi
    said = engine.docker("image", "rm", "--platform", "linux/arm64", "multi:1").stdout
    assert said == f"Deleted: {arm}\n"
    assert engine.boxship("image", "inspect", "-f", "{{.Id}}", "multi:1").stdout == f"{id}\n"
    (image,) = get(engine, "/v1.56/images/json", manifests=1, filters='{"reference":["multi"]}')
    assert [one["Available"] for one in image["Manifests"]] == [False, True]
    said = engine.boxship("image", "rm", "--platform", "linux/amd64", "multi:1").stdout
    assert said == f"Untagged: multi:1\nDeleted: {id}\n"


def test_older_clients_remove_the_whole_image(engine: Engine, multi: Any) -> None:
    with contextlib.closing(engine.api()) as api:
        url = f"{api.api.base_url}/v1.49/images/multi:1"
        assert api.api.delete(url, params={"platforms": ARM}).status_code == 200
    assert get(engine, "/v1.56/images/json", filters='{"reference":["multi"]}') == []


def test_the_containers_of_a_manifest_are_named(engine: Engine, multi: Any) -> None:
    container = engine.docker("create", "multi:1", "x").stdout.strip()
    try:
        shown = get(engine, "/v1.56/images/multi:1/json", manifests=1)["Manifests"]
        assert [one["ImageData"]["Containers"] for one in shown] == [[], [container]]
        refused = engine.docker("image", "rm", "--platform", "linux/amd64", "multi:1", check=False)
        assert "is being used by stopped container" in refused.stderr
        assert " U " in engine.docker("images", "--tree", "multi").stdout
    finally:
        engine.docker("rm", container)


SLSA, SPDX = "https://slsa.dev/provenance/v0.2", "https://spdx.dev/Document"


def test_attestations_are_told(engine: Engine) -> None:
    load(engine, made.attested(SLSA, SPDX))
    path = "/v1.55/images/attested:1/attestations"
    try:
        found = get(engine, path)
        assert [one["PredicateType"] for one in found] == [SLSA, SPDX]
        assert all("Statement" not in one for one in found)
        assert found[0]["Descriptor"]["mediaType"] == "application/vnd.in-toto+json"
        (one,) = get(engine, path, type=SPDX, statement=1, platform='{"architecture":"amd64"}')
        assert one["Statement"] == {"predicateType": SPDX, "n": 1}
        with contextlib.closing(engine.api()) as api:
            base = api.api.base_url
            for status, url in (
                (404, f"{base}/v1.54/images/attested:1/attestations"),
                (404, f"{base}{path}?platform={ARM}"),
                (404, f"{base}/v1.55/images/nothing/attestations"),
                (400, f"{base}{path}?platform=x&platform=y"),
                (400, f"{base}{path}?platform=%7B"),
            ):
                assert api.api.get(url).status_code == status, url
    finally:
        engine.docker("rmi", "attested:1")


def test_where_an_image_was_pulled_from_and_pushed_to_is_told(
    engine: Engine, tmp_path: Path
) -> None:
    with debian_registry(tmp_path / "registry") as host:
        name = f"{host}/origin/{uuid.uuid4().hex[:6]}"
        load(engine, made.docker_archive([made.archive(("f", b"f", {}))], tags=[f"{name}:1"]))
        assert "Identity" not in get(engine, f"/v1.56/images/{name}:1/json")
        engine.docker("push", f"{name}:1")
        engine.docker("tag", f"{name}:1", "another:1")
        expected = {"Pull": [{"Repository": name}]}
        assert get(engine, "/v1.56/images/another:1/json")["Identity"] == expected
        assert "Identity" not in get(engine, "/v1.52/images/another:1/json")
        filters = '{"reference":["another"]}'
        (shown,) = get(engine, "/v1.54/images/json", manifests=1, identity=1, filters=filters)
        assert shown["Manifests"][0]["ImageData"]["Identity"] == expected
        engine.docker("rmi", f"{name}:1", "another:1")
        engine.docker("pull", f"{name}:1")
        assert get(engine, f"/v1.56/images/{name}:1/json")["Identity"] == expected
        engine.docker("rmi", f"{name}:1")


def test_the_build_that_an_image_came_out_of_is_told(engine: Engine, tmp_path: Path) -> None:
    name = f"built-{uuid.uuid4().hex[:6]}:1"
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\nLABEL own={name}\n")
    engine.boxship("build", "-q", "-t", name, str(tmp_path))
    (build,) = get(engine, f"/v1.56/images/{name}/json")["Identity"]["Build"]
    listed = engine.boxship("buildx", "history", "ls").stdout
    assert build["Ref"] in listed
    assert build["CreatedAt"].endswith("Z")
    engine.docker("rmi", name)


def test_what_belongs_to_nothing_is_told_and_collected_at_the_next_start(
    own_engine: Engine,
) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    own_engine.kill()
    blobs = own_engine.root / "data/blobs"
    orphan = hashlib.sha256(b"orphan").hexdigest()
    (blobs / "ingest" / "half").write_bytes(b"half")
    own_engine.start()
    (blobs / "sha256" / orphan).write_bytes(b"orphan")
    told = own_engine.boxship("system", "check", check=False)
    assert (told.returncode, told.stdout) == (1, f"content sha256:{orphan} belongs to no image\n")
    own_engine.kill()
    own_engine.start()
    assert own_engine.boxship("system", "check").stdout == "clean\n"
    assert not (blobs / "sha256" / orphan).exists()
    assert list((blobs / "ingest").iterdir()) == []
    assert own_engine.boxship("run", "--rm", "busybox", "echo", "whole").stdout == "whole\n"


def test_a_load_that_the_engine_dies_in_leaves_nothing(own_engine: Engine) -> None:
    """Killed while layers arrive: the next engine has no part of it, and the next load all."""
    import http.client
    import socket

    own_engine.boxship("image", "bootstrap", "busybox")
    kept = sorted(path.name for path in (own_engine.root / "data/blobs/sha256").iterdir())
    data = made.docker_archive(
        [made.archive((f"f{n}", bytes([n]) * (1 << 20), {})) for n in range(6)], tags=["killed:1"]
    )
    for cut in (len(data) // 3, len(data) - 5000):
        connection = http.client.HTTPConnection("engine")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(own_engine.socket)
        connection.putrequest("POST", "/v1.50/images/load?quiet=1")
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders()
        connection.send(data[:cut])
        own_engine.kill()
        connection.close()
        own_engine.start()
        now = sorted(path.name for path in (own_engine.root / "data/blobs/sha256").iterdir())
        assert now == kept
        assert own_engine.boxship("system", "check").stdout == "clean\n"
    load(own_engine, data)
    assert "killed" in own_engine.docker("images").stdout


def test_a_transfer_that_the_engine_dies_in_leaves_nothing(
    own_engine: Engine, engine: Engine
) -> None:
    data = made.docker_archive(
        [made.archive((f"f{n}", bytes([n]) * (8 << 20), {})) for n in range(4)], tags=["moved:1"]
    )
    load(engine, data)
    try:
        command = [sys.executable, "-I", "-S", str(CHECKOUT / "src/boxship/cli/launch.py")]
        command += ["-H", engine.host, "image", "send", "moved:1", own_engine.host]
        sending = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert sending.stdout is not None
        while b"Pushed" not in sending.stdout.readline():
            assert sending.poll() is None
        own_engine.kill()
        assert sending.wait(30 * PATIENCE) != 0 or b"Sent 5" in sending.stdout.read()
        sending.stdout.close()
        own_engine.start()
        assert own_engine.boxship("system", "check").stdout == "clean\n"
        own_engine_has = own_engine.docker("images", "-q").stdout
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "Sent " in done.stdout, (done.stdout, own_engine_has)
        assert own_engine.docker("images", "-q", "moved:1").stdout.strip()
    finally:
        engine.docker("rmi", "moved:1")


def test_several_platforms_are_saved_and_loaded(engine: Engine, multi: Any, tmp_path: Path) -> None:
    id, _ = multi
    archive = f"{tmp_path}/both.tar"
    both = ("--platform", "linux/amd64,linux/arm64")
    engine.boxship("save", *both, "-o", archive, "multi:1")
    engine.docker("rmi", "multi:1")
    said = engine.boxship("load", "--platform", "linux/arm64", "--platform", "amd64", "-i", archive)
    assert said.stdout == "Loaded image: multi:1\n"
    (image,) = get(engine, "/v1.56/images/json", manifests=1, filters='{"reference":["multi"]}')
    assert image["Id"] == id
    assert all(one["Available"] for one in image["Manifests"])
    assert all(one["ImageData"]["Size"]["Unpacked"] for one in image["Manifests"])
