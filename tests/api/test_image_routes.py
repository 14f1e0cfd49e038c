"""The image routes, asked by the real docker command and by docker-py."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from tests.api.conftest import Serve
from tests.support import images as made
from tests.support.serving import Served

from boxship.api.routes import images as routes
from boxship.distribution.pool import Pool
from boxship.image.bootstrap import Host
from boxship.image.images import Images
from boxship.image.pull import Pulls
from boxship.image.push import Pushes

pytestmark = pytest.mark.root
LAYER = made.archive(("hello", b"hello", {}))


@dataclass
class Asked:
    engine: made.Engine
    api: Served

    def docker(self, *words: str, stdin: bytes | None = None) -> str:
        command = [shutil.which("docker") or "", "-H", f"unix://{self.api.path}", *words]
        environment = {**os.environ, "DOCKER_API_VERSION": "1.48"}
        done = subprocess.run(
            command, env=environment, input=stdin, capture_output=True, check=False
        )
        return (done.stdout + done.stderr).decode()

    def client(self, version: str = "1.51") -> docker.DockerClient:
        return docker.DockerClient(base_url=f"unix://{self.api.path}", version=version)


@pytest.fixture
def asked(serve: Serve, tmp_path: Path) -> Iterator[Asked]:
    engine = made.Engine(tmp_path)
    pool = Pool()
    parts = {
        Images: engine.images,
        Host: Host(dict(os.environ), str(tmp_path)),
        Pool: pool,
        Pulls: Pulls(engine.images, engine.blobs, engine.snapshots, pool),
        Pushes: Pushes(engine.images, engine.blobs, pool),
    }
    yield Asked(engine, serve([routes], parts))
    engine.database.close()


def test_load_says_what_was_loaded(asked: Asked) -> None:
    said = asked.docker("load", stdin=made.docker_archive([LAYER], tags=["one:1", "one:2"]))
    assert "Loaded image: one:1\n" in said
    assert "Loaded image: one:2\n" in said
    assert asked.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split() == [
        "one:1",
        "one:2",
    ]


def test_an_image_without_a_name_is_loaded_by_its_id(asked: Asked) -> None:
    said = asked.docker("load", stdin=made.docker_archive([LAYER], tags=[]))
    assert "Loaded image ID: sha256:" in said
    assert asked.docker("images", "-q", "--filter", "dangling=true").strip()


def test_what_is_no_archive_is_refused_as_clients_know_it(asked: Asked) -> None:
    assert "does not contain a manifest.json" in asked.docker(
        "load", stdin=made.archive(("x", b"x", {}))
    )
    with pytest.raises(docker.errors.ImageLoadError, match=r"."):
        asked.client().images.load(b"nonsense" * 1000)


def test_saved_and_loaded_again_an_image_is_the_same(asked: Asked) -> None:
    asked.docker("load", stdin=made.docker_archive([LAYER]))
    client = asked.client()
    before = client.images.get("test:1").attrs
    saved = b"".join(client.api.get_image("test:1"))
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        names = archive.getnames()
    assert {"oci-layout", "index.json", "manifest.json"} <= set(names)
    client.images.remove("test:1")
    assert client.images.list() == []
    (again,) = client.images.load(saved)
    assert again.attrs["Id"] == before["Id"]
    assert again.attrs["RootFS"] == before["RootFS"]


def test_inspect_shows_what_docker_shows(asked: Asked) -> None:
    asked.docker("load", stdin=made.docker_archive([LAYER], author="somebody"))
    (shown,) = json.loads(asked.docker("inspect", "test:1"))
    assert shown["RepoTags"] == ["test:1"]
    assert shown["RepoDigests"] == [f"test@{shown['Id']}"]
    assert shown["Config"]["Cmd"] == ["/x"]
    assert (shown["Architecture"], shown["Os"], shown["Author"]) == ("amd64", "linux", "somebody")
    assert shown["RootFS"] == {"Type": "layers", "Layers": [made.sha256(LAYER)]}
    assert shown["Metadata"]["LastTagTime"].startswith("2023-11-14T")
    old = asked.client("1.40").images.get("test:1").attrs
    assert old["VirtualSize"] == old["Size"]
    assert "Hostname" in old["Config"]
    assert "Descriptor" not in old


def test_what_is_told_of_an_image_follows_its_names_and_the_version(asked: Asked) -> None:
    """It is kept as it was sent; it must not be told for longer than it is true."""
    asked.docker("load", stdin=made.docker_archive([LAYER], tags=["one:1"]))

    def told(version: str = "1.51") -> dict[str, object]:
        return dict(json.loads(asked.api.get(f"/v{version}/images/one:1/json").body))

    assert told() == told()
    assert told()["RepoTags"] == ["one:1"]
    asked.docker("tag", "one:1", "one:2")
    assert told()["RepoTags"] == ["one:1", "one:2"]
    asked.docker("rmi", "one:2")
    assert told()["RepoTags"] == ["one:1"]
    assert "VirtualSize" in told("1.43")
    assert "VirtualSize" not in told()


def test_missing_images_are_named(asked: Asked) -> None:
    assert "No such image: nothing:latest" in asked.docker("rmi", "nothing")
    assert "No such image: nothing:1" in asked.docker("tag", "nothing:1", "x")
    assert "invalid reference format" in asked.docker("tag", "nothing", "UPPER/Case")


def test_import_applies_changes_and_takes_a_message(asked: Asked) -> None:
    said = asked.docker(
        "import", "-c", 'CMD ["/bin/sh"]', "-c", "ENV a=b", "-m", "made here", "-", "mine:2",
        stdin=LAYER,
    )  # fmt: skip
    assert said.startswith("sha256:")
    (shown,) = json.loads(asked.docker("inspect", "mine:2"))
    assert shown["Id"] == said.strip()
    assert (shown["Config"]["Cmd"], shown["Config"]["Env"]) == (["/bin/sh"], ["a=b"])
    assert shown["Comment"] == "made here"
    assert "made here" in asked.docker("history", "mine:2")


def test_a_broken_import_leaves_nothing(asked: Asked) -> None:
    assert "unexpected EOF" in asked.docker("import", "-", "mine", stdin=LAYER[:700])
    assert asked.engine.stored() == ([], [], [])


def test_tag_and_remove_by_the_rules(asked: Asked) -> None:
    asked.docker("load", stdin=made.docker_archive([LAYER]))
    asked.docker("tag", "test:1", "other/name:2")
    said = asked.docker("rmi", "test:1")
    assert said == "Untagged: test:1\n"
    said = asked.docker("rmi", "other/name:2")
    assert said.startswith("Untagged: other/name:2\nDeleted: sha256:")
    assert asked.engine.stored() == ([], [], [])


def test_filters_choose(asked: Asked) -> None:
    asked.docker("load", stdin=made.docker_archive([LAYER]))
    asked.docker(
        "load",
        stdin=made.docker_archive(
            [made.archive(("b", b"b", {}))],
            tags=["b:1"],
            created="2021-01-02T03:04:05Z",
            config={"Labels": {"is": "b"}},
        ),
    )

    def found(*filters: str) -> list[str]:
        words = [word for text in filters for word in ("--filter", text)]
        shown = asked.docker("images", "--format", "{{.Repository}}:{{.Tag}}", *words)
        return shown.split()

    assert found() == ["b:1", "test:1"]
    assert found("label=is=b") == ["b:1"]
    assert found("label=from") == ["test:1"]
    assert found("reference=te*") == ["test:1"]
    asked.docker("tag", "test:1", "other/name:2")
    assert found("reference=te*") == ["test:1"], "no other names of the same image"
    assert found("reference=*/name") == ["other/name:2"]
    asked.docker("rmi", "other/name:2")
    assert found("before=b:1") == ["test:1"]
    assert found("since=test:1") == ["b:1"]
    assert found("until=2020-06-01") == ["test:1"]
    assert "time or duration" in asked.docker("images", "--filter", "until=" + "9" * 400)
    assert "invalid filter 'what'" in asked.docker("images", "--filter", "what=1")


def test_prune_takes_what_has_no_name_or_no_use(asked: Asked) -> None:
    asked.docker("load", stdin=made.docker_archive([LAYER]))
    asked.docker("load", stdin=made.docker_archive([made.archive(("b", b"b", {}))], tags=[]))
    assert "Total reclaimed space" in asked.docker("image", "prune", "-f")
    assert len(asked.client().images.list(all=True)) == 1
    assert "untagged: test:1" in asked.docker("image", "prune", "-a", "-f")
    assert asked.engine.stored() == ([], [], [])


def test_the_engine_pulls_what_it_carries(asked: Asked) -> None:
    said = asked.docker("pull", "hello-world")
    assert "Status: Downloaded newer image for hello-world:latest" in said
    assert "connection refused" in asked.docker("pull", "localhost:1/nginx")


def test_a_base_image_is_made_and_told(asked: Asked) -> None:
    pulled = asked.client().api._post(
        asked.client().api.base_url + "/v1.48/images/bootstrap?kind=busybox&tag=mine:1"
    )
    messages = [json.loads(line) for line in pulled.text.splitlines()]
    assert messages[-1]["aux"]["ID"].startswith("sha256:")
    assert {"busybox:latest", "mine:1"} <= set(asked.client().images.get("busybox").tags)
