"""The volume routes, asked by docker-py and by the docker command."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
from tests.api.conftest import Serve
from tests.support.networking import Heard
from tests.support.serving import Served

from boxship.api.routes import volumes as routes
from boxship.store.database import Database
from boxship.volume.drivers.local import LocalDriver
from boxship.volume.volumes import Volumes


@dataclass
class Engine:
    volumes: Volumes
    api: Served
    heard: Heard
    using: dict[str, list[str]] = field(default_factory=dict)

    def using_volume(self, name: str) -> Sequence[str]:
        return self.using.get(name, [])

    def docker(self, *words: str) -> str:
        command = [shutil.which("docker") or "", "-H", f"unix://{self.api.path}", *words]
        environment = {**os.environ, "DOCKER_API_VERSION": "1.48"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stdout if done.returncode == 0 else done.stderr

    @property
    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=f"unix://{self.api.path}", version="1.51")


@pytest.fixture
def engine(serve: Serve, tmp_path: Path) -> Iterator[Engine]:
    heard, using = Heard(), {}

    class Users:
        def using_volume(self, name: str) -> Sequence[str]:
            return using.get(name, [])

    database = Database(str(tmp_path / "db"))
    driver = LocalDriver(str(tmp_path / "volumes"))
    volumes = Volumes(
        database, [driver], publisher=heard, users=Users(), now=lambda: "2026-01-02T03:04:05Z"
    )
    yield Engine(volumes, serve([routes], {Volumes: volumes}), heard, using)
    database.close()


def test_a_volume_is_made_shown_listed_and_removed(engine, tmp_path):
    assert engine.docker("volume", "create", "--label", "a=b", "data").strip() == "data"
    shown = json.loads(engine.docker("volume", "inspect", "data"))
    assert shown == [
        {
            "CreatedAt": "2026-01-02T03:04:05Z",
            "Driver": "local",
            "Labels": {"a": "b"},
            "Mountpoint": str(tmp_path / "volumes/data/_data"),
            "Name": "data",
            "Options": None,
            "Scope": "local",
        }
    ]
    assert engine.docker("volume", "ls").splitlines()[1].split() == ["local", "data"]
    assert engine.docker("volume", "rm", "data").strip() == "data"
    assert engine.client.volumes.list() == []
    assert engine.heard.actions() == [("volume", "create"), ("volume", "destroy")]
    assert os.listdir(tmp_path / "volumes") == []


def test_an_anonymous_volume_gets_a_name_and_dockers_label(engine):
    made = engine.client.volumes.create()
    assert len(made.name) == 64
    assert made.attrs["Labels"] == {"com.docker.volume.anonymous": ""}


def test_the_same_name_gives_the_same_volume_unless_the_driver_differs(engine):
    one = engine.api.request("POST", "/volumes/create", {"Name": "data", "Labels": {"a": "b"}})
    two = engine.api.request("POST", "/volumes/create", {"Name": "data"})
    other = engine.api.request("POST", "/volumes/create", {"Name": "data", "Driver": "nope"})
    assert (one.status, two.document) == (201, one.document)
    assert other.status == 409
    assert engine.heard.actions() == [("volume", "create")]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"Name": "a"}, 400,
         "create a: volume name is too short, "
         "names should be at least two alphanumeric characters"),
        ({"Name": "../x"}, 400,
         'create ../x: "../x" includes invalid characters for a local volume name, only '
         '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
         "use absolute path"),
        ({"Name": "data", "Driver": "nope"}, 404,
         'create data: error looking up volume plugin nope: plugin "nope" not found'),
        ({"Name": "data", "DriverOpts": {"colour": "red"}}, 400,
         'create data: invalid option: "colour"'),
    ],
)  # fmt: skip
def test_what_cannot_be_made_is_refused_in_dockers_words(engine, body, status, message):
    refused = engine.api.request("POST", "/volumes/create", body)
    assert (refused.status, refused.message) == (status, message)


def test_a_volume_in_use_stays_and_one_that_is_not_there_is_missed(engine):
    engine.client.volumes.create("data")
    engine.using["data"] = ["c" * 64, "d" * 64]
    busy = engine.api.request("DELETE", "/volumes/data")
    assert (busy.status, busy.message) == (
        409,
        f"remove data: volume is in use - [{'c' * 64}, {'d' * 64}]",
    )
    for method, path, status in (
        ("GET", "/volumes/nope", 404),
        ("DELETE", "/volumes/nope", 404),
        ("DELETE", "/volumes/nope?force=1", 204),
        ("PUT", "/v1.42/volumes/data?version=1", 503),
        ("PUT", "/v1.41/volumes/data?version=1", 404),
    ):
        assert engine.api.request(method, path).status == status, (method, path)
    assert engine.api.request("GET", "/volumes/nope").message == "get nope: no such volume"


def test_lists_are_filtered(engine):
    for name, labels in (("one", {"a": "1"}), ("two", {"a": "2"}), ("three", None)):
        engine.client.volumes.create(name, labels=labels)
    engine.using["two"] = ["c" * 64]

    def names(**filters: object) -> list[str]:
        return sorted(one.name for one in engine.client.volumes.list(filters=filters))

    assert names(label="a") == ["one", "two"]
    assert names(label="a=2") == ["two"]
    assert names(name="^t") == ["three", "two"]
    assert names(dangling="true") == ["one", "three"]
    assert names(dangling="false") == ["two"]
    assert names(driver="local") == ["one", "three", "two"]
    assert engine.api.request("GET", '/volumes?filters={"nope":["1"]}').status == 400


def test_prune_spares_named_volumes_from_1_42_on_unless_all_is_asked(engine):
    """And those with options, which may show what is kept elsewhere, in any case."""
    anonymous = engine.client.volumes.create().name
    for name in ("named", "kept", "busy"):
        engine.client.volumes.create(name, labels={"keep": ""} if name == "kept" else None)
        (Path(engine.volumes.get(name).mountpoint) / "file").write_bytes(b"x" * 1000)
    engine.using["busy"] = ["c" * 64]
    engine.client.volumes.create("elsewhere", driver_opts={"type": "tmpfs", "device": "tmpfs"})
    assert engine.docker("volume", "prune", "--force").splitlines()[1] == anonymous
    assert engine.api.request("POST", "/v1.48/volumes/prune").document == {
        "VolumesDeleted": None,
        "SpaceReclaimed": 0,
    }
    told = '/v1.48/volumes/prune?filters={"all":["1"],"label!":["keep"]}'
    assert engine.api.request("POST", told).document == {
        "VolumesDeleted": ["named"],
        "SpaceReclaimed": 1000,
    }
    assert engine.api.request("POST", "/v1.41/volumes/prune").document["VolumesDeleted"] == ["kept"]
    assert {one.name for one in engine.client.volumes.list()} == {"busy", "elsewhere"}
