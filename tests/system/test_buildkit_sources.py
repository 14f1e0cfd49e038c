"""What is told of sources before they are used: images, repositories, files, clients' folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.support.buildkit import Bridge, driven, on_engine
from tests.support.engine import Engine
from tests.support.gitrepo import Repository
from tests.support.websites import Asked, Page, Site, repositories, site

from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.transport.http2 import Http2
from boxship.wire.grpc import Failed

MODIFIED = "Sun, 13 Sep 2020 12:26:40 GMT"


@dataclass
class Served:
    site: Site
    made: Repository
    commit: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sources")
    made = Repository.new(folder / "r.git")
    commit = made.commit(file="first")
    made.git("tag", "-am", "with a message", "v2")
    serve = repositories(folder)

    def answer(asked: Asked) -> Page:
        if asked.path == "/file.txt":
            return Page(b"content", headers={"Last-Modified": MODIFIED})
        return serve(asked)

    with site(answer) as running:
        yield Served(running, made, commit)


async def ask(bridge: Bridge, name: str, **more: object) -> pb.ResolveSourceMetaResponse:
    asked = pb.ResolveSourceMetaRequest(**more)  # type: ignore[arg-type]
    asked.source.identifier = name
    if name.startswith("git://"):
        asked.source.attrs["git.fullurl"] = name.partition("#")[0].replace("git://", "http://")
    return await bridge.ask("ResolveSourceMeta", asked, pb.ResolveSourceMetaResponse)


def test_what_a_source_means_now_is_told(engine: Engine, served: Served) -> None:
    url = served.site.url
    remote = url.replace("http://", "git://") + "/r.git"

    async def story(client: Http2) -> None:
        async with driven(client, "meta") as bridge:
            found = await ask(bridge, "docker-image://docker.io/library/busybox:latest")
            assert found.image.digest.startswith("sha256:")
            assert b'"rootfs"' in found.image.config
            assert found.source.identifier.endswith(f":latest@{found.image.digest}")
            found = await ask(bridge, "docker-image://busybox", image={"no_config": True})
            assert not found.image.config

            found = await ask(bridge, f"{url}/file.txt")
            assert found.http.checksum == f"sha256:{hashlib.sha256(b'content').hexdigest()}"
            assert found.http.filename == "file.txt"
            assert found.http.last_modified.seconds == 1600000000

            found = await ask(bridge, remote)
            assert found.git.checksum == served.commit
            assert found.git.ref == "refs/heads/main"
            assert not found.git.commit_checksum
            assert not found.git.commit_object
            found = await ask(bridge, f"{remote}#v2", git={"return_object": True})
            assert found.git.checksum == served.made.git("rev-parse", "v2")
            assert found.git.commit_checksum == served.commit
            assert found.git.ref == "refs/tags/v2"
            assert found.git.commit_object.startswith(b"tree ")
            assert b"with a message" in found.git.tag_object
            found = await ask(bridge, f"{remote}#{served.commit}")
            assert found.git.checksum == served.commit
            with pytest.raises(Failed, match="does not contain ref"):
                await ask(bridge, f"{remote}#absent")

            found = await ask(bridge, "local://context")
            assert found.source.identifier == "local://context"
            assert not found.HasField("git")
            with pytest.raises(Failed, match="no source is known"):
                await ask(bridge, "nonsense://x")

    on_engine(engine, story)


def test_policies_are_asked_about_what_is_looked_at(engine: Engine, served: Served) -> None:
    denied = {"action": "DENY", "selector": {"identifier": f"{served.site.url}/*"}}

    async def story(client: Http2) -> None:
        async with driven(client, "meta-denied") as bridge:
            policies = [{"rules": [denied]}]
            with pytest.raises(Failed, match="denied by policy"):
                await ask(bridge, f"{served.site.url}/file.txt", source_policies=policies)

    on_engine(engine, story)
