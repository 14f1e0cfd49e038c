"""Pulling through: a registry in front of others."""

from __future__ import annotations

import http.server
import json
import os
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.registry_server import (
    RegistryServer,
    descriptor,
    digest,
    manifest,
    registry_server,
)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """The registry behind."""
    with registry_server(tmp_path_factory.mktemp("origin")) as made:
        yield made


@contextmanager
def cache_of(folder: Path, *origins: RegistryServer, **more: object) -> Iterator[RegistryServer]:
    """A registry in front, where each one behind is called `first`, `second`, ..."""
    names = ("first", "second", "third")
    upstreams = [
        {"name": name, "remoteurl": f"http://{one.host}"}
        for name, one in zip(names, origins, strict=False)
    ]
    with registry_server(folder, proxy={"upstreams": upstreams, **more}) as made:
        yield made


def asked(origin: RegistryServer, repository: str) -> Counter[str]:
    """Count what the registry behind was asked about a repository."""
    return Counter(
        f"{line['method']} {line['path'].split('/')[-2]}"
        for line in origin.log()
        if line.get("repository") == repository
    )


def pull(server: RegistryServer, name: str, reference: str, query: str = "") -> bytes:
    """Pull a manifest and all its blobs; return the manifest."""
    answer = server.ask("GET", f"/v2/{name}/manifests/{reference}{query}")
    assert answer.status == 200, answer.body
    document = answer.json()
    for one in (document["config"], *document["layers"]):
        blob = server.ask("GET", f"/v2/{name}/blobs/{one['digest']}{query}")
        assert blob.status == 200, blob.body
        assert digest(blob.body) == one["digest"]
    return answer.body


def test_an_image_is_fetched_once_and_then_served_from_here(
    origin: RegistryServer, tmp_path: Path
) -> None:
    data = origin.push_image("once", "v1", os.urandom(3_000_000))
    with cache_of(tmp_path, origin) as cache:
        assert pull(cache, "first/once", "v1") == data
        before = asked(origin, "once")
        assert pull(cache, "first/once", "v1") == data
        assert asked(origin, "once") == before
        check = cache.command("check")
        assert (check.returncode, check.stdout) == (0, "all is whole\n")


def test_many_registries_are_told_apart_by_path_and_by_namespace(
    origin: RegistryServer, tmp_path: Path
) -> None:
    (tmp_path / "two").mkdir()
    (tmp_path / "cache").mkdir()
    with (
        registry_server(tmp_path / "two") as second,
        cache_of(tmp_path / "cache", origin, second) as cache,
    ):
        one = origin.push_image("library/same", "v1", b"one")
        two = second.push_image("library/same", "v1", b"two")
        assert pull(cache, "first/library/same", "v1") == one
        assert pull(cache, "second/library/same", "v1") == two
        assert pull(cache, "library/same", "v1", f"?ns={second.host}") == two
        assert pull(cache, "library/same", "v1", "?ns=first") == one
        mine = cache.push_image("library/same", "v1", b"mine")
        assert pull(cache, "library/same", "v1") == mine


def test_clients_that_want_the_same_share_one_fetch(origin: RegistryServer, tmp_path: Path) -> None:
    data = os.urandom(20_000_000)
    origin.push_image("shared", "v1", data)
    with cache_of(tmp_path, origin) as cache, ThreadPoolExecutor(8) as clients:
        paths = [f"/v2/first/shared/blobs/{digest(data)}"] * 8
        answers = list(clients.map(lambda path: cache.ask("GET", path), paths))
        assert all(answer.body == data for answer in answers)
        assert asked(origin, "shared")["GET blobs"] == 1


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=5-9", 5, 10), ("bytes=-7", 2_999_993, 3_000_000), ("bytes=2000000-", 2_000_000, None)],
)
def test_a_part_of_what_is_not_here_yet_is_given_while_all_of_it_is_fetched(
    origin: RegistryServer, tmp_path: Path, wanted: str, start: int, end: int | None
) -> None:
    data = os.urandom(3_000_000)
    origin.push_image("parts", wanted[6:].strip("-"), data)
    path = f"/v2/first/parts/blobs/{digest(data)}"
    with cache_of(tmp_path, origin) as cache:
        part = cache.ask("GET", path, Range=wanted)
        assert (part.status, part.body) == (206, data[start:end])
        last = (end or len(data)) - 1
        assert part.headers["content-range"] == f"bytes {start}-{last}/{len(data)}"
        again = cache.ask("GET", path, Range=wanted)
        assert (again.status, again.body) == (206, part.body)
        assert cache.ask("GET", path).body == data
        beyond = cache.ask("GET", path, Range=f"bytes={len(data)}-")
        assert (beyond.status, beyond.code) == (416, "RANGE_INVALID")
        got = [line for line in origin.log() if line.get("path", "").endswith(digest(data))]
        assert [line["method"] for line in got] == ["HEAD", "GET"]


def test_a_tag_that_moves_is_seen_and_served_when_nobody_answers_behind(tmp_path: Path) -> None:
    for folder in ("origin", "cache"):
        (tmp_path / folder).mkdir()
    with registry_server(tmp_path / "origin") as origin:
        first = origin.push_image("moving", "v1", b"one")
        with cache_of(tmp_path / "cache", origin, revalidate="1ns") as cache:
            assert pull(cache, "first/moving", "v1") == first
            second = origin.push_image("moving", "v1", b"two")
            assert pull(cache, "first/moving", "v1") == second
            origin.stop()
            assert pull(cache, "first/moving", "v1") == second
            assert pull(cache, "first/moving", digest(first)) == first
            gone = cache.ask("GET", "/v2/first/moving/manifests/v2")
            assert (gone.status, gone.code) == (503, "UNAVAILABLE")
            assert cache.ask("GET", "/v2/first/moving/tags/list").json()["tags"] == ["v1"]


def test_what_is_not_there_is_not_here(origin: RegistryServer, tmp_path: Path) -> None:
    with cache_of(tmp_path, origin) as cache:
        for path, code in (
            ("first/nothing/manifests/v1", "MANIFEST_UNKNOWN"),
            (f"first/nothing/blobs/{digest(b'x')}", "BLOB_UNKNOWN"),
            ("first/nothing/tags/list", "NAME_UNKNOWN"),
        ):
            answer = cache.ask("GET", f"/v2/{path}")
            assert (answer.status, answer.code) == (404, code)


def test_referrers_are_those_of_the_registry_behind(origin: RegistryServer, tmp_path: Path) -> None:
    data = origin.push_image("signed", "v1")
    subject = descriptor(data, "application/vnd.oci.image.manifest.v1+json")
    origin.push_blob("signed", b"{}")
    about = json.dumps(manifest(b"{}", [], subject=subject, artifactType="text/x-s")).encode()
    assert origin.push_manifest("signed", digest(about), about).status == 201
    with cache_of(tmp_path, origin) as cache:
        path = f"referrers/{digest(data)}?artifactType=text/x-s"
        there = origin.ask("GET", f"/v2/signed/{path}").json()
        assert there["manifests"]
        assert cache.ask("GET", f"/v2/first/signed/{path}").json() == there


def test_nothing_is_pushed_to_what_is_pulled_through(
    origin: RegistryServer, tmp_path: Path
) -> None:
    with cache_of(tmp_path, origin) as cache:
        answer = cache.begin("first/mine")
        assert (answer.status, answer.code) == (405, "UNSUPPORTED")
        assert cache.begin("mine").status == 202


def test_content_with_another_digest_is_not_kept_nor_given_whole(tmp_path: Path) -> None:
    """SEC-106: a registry behind that sends other bytes poisons nothing."""
    named = digest(b"what was asked for")

    class Wrong(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "18")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(b"what was sent here")

        def log_message(self, *words: object) -> None:
            pass

    behind = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Wrong)
    threading.Thread(target=behind.serve_forever, daemon=True).start()
    server = RegistryServer(tmp_path, port=behind.server_address[1])
    try:
        with cache_of(tmp_path, server) as cache:
            for _ in range(2):
                with pytest.raises((ConnectionError, http.client.IncompleteRead)):
                    cache.ask("GET", f"/v2/first/wrong/blobs/{named}")
            assert not list(cache.root.rglob("data"))
            manifest = cache.ask("GET", f"/v2/first/wrong/manifests/{named}")
            assert manifest.status == 503
    finally:
        behind.shutdown()
        behind.server_close()


def test_a_client_that_leaves_does_not_end_the_fetch(
    origin: RegistryServer, tmp_path: Path
) -> None:
    data = os.urandom(30_000_000)
    origin.push_image("left", "v1", data)
    path = f"/v2/first/left/blobs/{digest(data)}"
    with cache_of(tmp_path, origin) as cache:
        connection = cache.connect()
        connection.request("GET", path)
        connection.getresponse().read(1000)
        connection.close()
        assert cache.ask("GET", path).body == data
        assert asked(origin, "left")["GET blobs"] == 1


def test_a_cache_over_its_size_forgets_what_was_wanted_longest_ago(
    origin: RegistryServer, tmp_path: Path
) -> None:
    for number in range(3):
        origin.push_image(f"image{number}", "v1", os.urandom(1_000_000))
    with cache_of(tmp_path, origin, maxsize="1500kB", ttl="0s") as cache:
        for number in range(3):
            pull(cache, f"first/image{number}", "v1")
        links = sorted(cache.root.rglob("revisions/*/*/link"), key=str)
        for age, link in enumerate(reversed(links), 1):
            os.utime(link, (1e9, 1e9 - age))
        cache.stop()
        for file in cache.root.rglob("data"):
            os.utime(file, (1e9, 1e9))
        for file in cache.root.rglob("_layers/*/*/link"):
            os.utime(file, (1e9, 1e9))
        done = cache.command("evict")
        assert "first/image0@" in done.stdout
        assert "first/image1@" in done.stdout
        assert "first/image2@" not in done.stdout
        kept = sum(file.stat().st_size for file in cache.root.rglob("data"))
        assert 1_000_000 < kept < 1_500_000
        cache.start()
        pull(cache, "first/image0", "v1")  # it can be fetched again
