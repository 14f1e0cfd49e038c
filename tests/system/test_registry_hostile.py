"""What strangers may send to a registry."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.engine import PATIENCE
from tests.support.registry_server import (
    Answer,
    RegistryServer,
    digest,
    registry_server,
    with_query,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    with registry_server(tmp_path_factory.mktemp("hostile")) as made:
        yield made
        assert made.process is not None
        assert made.process.poll() is None


def raw(server: RegistryServer, request: bytes) -> bytes:
    """Send bytes as they are; return all that is answered."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(65536):
                found += piece
        return found


def memory(server: RegistryServer) -> int:
    """The resident memory of the server, in bytes."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


PATHS = [
    "/v2/../../../../etc/passwd/manifests/x",
    "/v2/a/%2e%2e/%2e%2e/manifests/x",
    "/v2/a/..%2f..%2fb/tags/list",
    "/v2/a%00b/tags/list",
    "/v2//tags/list",
    "/v2/_layers/manifests/x",
    "/v2/a/_manifests/tags/list",
    "/v2/a/blobs/sha256:../../../../../etc/passwd",
    "/v2/a/blobs/sha256%3a..%2f..%2fx",
    "/v2/a/manifests/..",
    "/v2/a/manifests/%2e%2e%2f%2e%2e",
    "/v2/a/blobs/uploads/../../../x",
    "/v2/a/blobs/uploads/..%2f..%2fx",
    "/v2/" + "a/" * 1000 + "tags/list",
    "/v2/" + "a" * 5000 + "/tags/list",
    "/v2/%ff%fe/tags/list",
    "/v2/a/tags/list?" + "&".join(f"x{n}=1" for n in range(100)),
    "/v2/_catalog?n=1&n=2&last=%ff",
    "/v2/a/referrers/sha256:x",
    "/\\v2\\a",
]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH"])
def test_names_that_lead_elsewhere_are_refused(server: RegistryServer, method: str) -> None:
    """SEC-44, SEC-105: paths, digests and references are read before any path is made."""
    before = sorted(server.folder.rglob("*"))
    for path in PATHS:
        head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
        answer = raw(server, head.encode("latin-1", "replace"))
        assert answer[:10] == b"HTTP/1.1 4", (path, answer)
    assert sorted(server.folder.rglob("*")) == before


REQUESTS = [
    b"GET /v2/ HTTP/1.1\r\n\r\n",
    b"GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"GET /v2/ HTTP/1.1\nHost: a\n\n",
    b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 300_000 + b"\r\n\r\n",
    b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
]


@pytest.mark.parametrize("number", range(len(REQUESTS)))
def test_what_is_no_request_is_refused(server: RegistryServer, number: int) -> None:
    answer = raw(server, REQUESTS[number])
    assert answer[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5"), answer
    assert server.ask("GET", "/v2/").status == 200


def test_manifests_of_any_size_cost_little(server: RegistryServer) -> None:
    """SEC-103: one that says it is large is not read; one that does not say is cut off."""
    before = memory(server)
    head = b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n"
    assert raw(server, head + b"x" * 100_000).startswith(b"HTTP/1.1 413")
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    endless = b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(endless)
        with contextlib.suppress(ConnectionError, TimeoutError):
            for _ in range(200):
                connection.sendall(chunk)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(20).startswith(b"HTTP/1.1 413")
    assert memory(server) - before < 64 << 20


DOCUMENTS = {
    "deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "not a number": b'{"schemaVersion": NaN}',
    "lone surrogate": b'{"schemaVersion": 2, "mediaType": "\\ud800"}',
    "huge number": b'{"schemaVersion": 1' + b"0" * 100_000 + b"}",
    "many keys": json.dumps({f"k{n}": n for n in range(100_000)}).encode(),
    "not utf-8": b'{"schemaVersion": 2, "a": "\xff"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "nothing": b"",
    "many layers": json.dumps(
        {
            "schemaVersion": 2,
            "config": {"mediaType": "a/b", "digest": digest(b""), "size": 0},
            "layers": [{"mediaType": "a/b", "digest": digest(b""), "size": 0}] * 20_000,
        }
    ).encode(),
}


@pytest.mark.parametrize("kind", sorted(DOCUMENTS))
def test_documents_that_are_made_to_hurt_are_refused(server: RegistryServer, kind: str) -> None:
    """SEC-112."""
    answer = server.ask("PUT", "/v2/a/manifests/x", DOCUMENTS[kind])
    assert (answer.status, answer.code) == (400, "MANIFEST_INVALID")


def test_a_body_that_ends_early_leaves_no_blob(server: RegistryServer) -> None:
    """The upload stays as far as it came, and a client may go on."""
    data = os.urandom(500_000)
    location = server.begin("cut").headers["location"]
    path = with_query(location, digest=digest(data))
    head = f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n\r\n"
    assert raw(server, head.encode() + data[:300_000]) == b""
    assert server.ask("HEAD", f"/v2/cut/blobs/{digest(data)}").status == 404
    deadline = time.monotonic() + 30 * PATIENCE
    while (status := server.ask("GET", location)).headers["range"] != "0-299999":
        assert time.monotonic() < deadline, status.headers
    rest = server.ask("PATCH", location, data[300_000:], Content_Range="300000-499999")
    assert rest.status == 202
    assert server.ask("PUT", path).status == 201


def test_many_push_the_same_blob_at_once(server: RegistryServer) -> None:
    data = os.urandom(3_000_000)

    def push(number: int) -> str:
        return server.push_blob(f"same{number % 3}", data)

    with ThreadPoolExecutor(8) as clients:
        assert set(clients.map(push, range(16))) == {digest(data)}
    assert server.ask("GET", f"/v2/same1/blobs/{digest(data)}").body == data
    assert len(list(server.root.rglob(f"{digest(data)[7:]}/data"))) == 1
    assert not list(server.root.rglob("same*/_uploads/*/data"))


def test_two_that_write_to_one_upload_make_no_wrong_blob(server: RegistryServer) -> None:
    """SEC-105: they take turns; what comes out is checked in the end."""
    pieces = [bytes([n]) * 100_000 for n in range(8)]
    location = server.begin("turns").headers["location"]
    with ThreadPoolExecutor(8) as clients:
        answers: list[Answer] = list(
            clients.map(lambda piece: server.ask("PATCH", location, piece), pieces)
        )
    assert {one.status for one in answers} == {202}
    assert server.ask("GET", location).headers["range"] == "0-799999"
    wrong = server.ask("PUT", with_query(location, digest=digest(b"".join(pieces))))
    assert wrong.status in (201, 400)
    chunks = server.begin("turns").headers["location"]
    with ThreadPoolExecutor(4) as clients:
        raced = clients.map(
            lambda piece: server.ask("PATCH", chunks, piece, Content_Range="0-99999"), pieces[:4]
        )
        assert sorted(one.status for one in raced) == [202, 416, 416, 416]


def test_clients_that_are_slow_hold_up_nobody(server: RegistryServer) -> None:
    """Hundreds of half requests, half bodies and readers that do not read."""
    data = os.urandom(8_000_000)
    named = server.push_blob("slow", data)
    location = server.begin("slow").headers["location"]
    starts = [
        b"GET /v2/ HTT",
        f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nxx".encode(),
        f"GET /v2/slow/blobs/{named} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    ]
    with contextlib.ExitStack() as open_ones:
        for number in range(150):
            connection = socket.create_connection(("127.0.0.1", server.port), 10)
            open_ones.callback(connection.close)
            connection.sendall(starts[number % 3])
        assert server.push_image("quick", "v1")
        assert server.ask("GET", f"/v2/slow/blobs/{named}").body == data
    assert memory(server) < 400 << 20


# Kills


DROPPED = (OSError, http.client.HTTPException)  # of the registry, with what it was about to say


class Clients:
    """Clients that push, pull, delete and collect at random; what they know of each tag."""

    def __init__(self, server: RegistryServer, images: dict[str, bytes]) -> None:
        self.server, self.images = server, images
        self.ending = threading.Event()
        self.known: dict[tuple[str, str], bytes | None] = {}  # as acknowledged
        self.wrong: list[str] = []

    def work(self, number: int, seed: int) -> None:
        """Be one of them; a repository of its own says what must be there."""
        chance, name = random.Random(seed), f"own{number}"
        while not self.ending.is_set():
            tag = chance.choice(sorted(self.images))
            with contextlib.suppress(*DROPPED, AssertionError, ValueError, KeyError):
                match chance.choice(["push", "push", "pull", "delete"]):
                    case "push":
                        self.known.pop((name, tag), None)  # until it is acknowledged
                        self.known[name, tag] = self.server.push_image(name, tag, self.images[tag])
                    case "delete":
                        self.known.pop((name, tag), None)
                        path = f"/v2/{name}/manifests/{tag}"
                        if self.server.ask("DELETE", path).status in (202, 404):
                            self.known[name, tag] = None
                    case _:
                        self.pull(name, tag)

    def pull(self, name: str, tag: str) -> None:
        answer = self.server.ask("GET", f"/v2/{name}/manifests/{tag}")
        for layer in answer.json()["layers"] if answer.status == 200 else ():
            got = self.server.ask("GET", f"/v2/{name}/blobs/{layer['digest']}")
            if got.status != 200 or digest(got.body) != layer["digest"]:
                self.wrong.append(f"{name}:{tag} {got.status}")

    def collect(self) -> None:
        while not self.ending.is_set():
            self.server.command("gc", "--delete-untagged")


@pytest.mark.parametrize(
    "rounds", [3, pytest.param(40, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
)
def test_a_registry_that_is_killed_is_whole(tmp_path: Path, rounds: int) -> None:
    """kill -9 at random moments of pushes, pulls, deletes and collections, all at once."""
    chance = random.Random(7)
    images = {f"v{n}": os.urandom(400_000) for n in range(6)}
    storage = {"delete": {"enabled": True}, "collection": {"grace": "1ns"}}
    with registry_server(tmp_path, storage=storage) as server:
        for turn in range(rounds):
            clients = Clients(server, images)
            threads = [
                threading.Thread(target=clients.work, args=(n, turn * 10 + n)) for n in range(3)
            ]
            threads.append(threading.Thread(target=clients.collect))
            for thread in threads:
                thread.start()
            time.sleep(chance.uniform(0.02, 0.6))
            server.stop(signal.SIGKILL)
            clients.ending.set()
            for thread in threads:
                thread.join()
            server.start()
            check = server.command("check")
            assert (check.returncode, check.stdout) == (0, "all is whole\n")
            assert not clients.wrong
            for (name, tag), data in clients.known.items():
                answer = server.ask("GET", f"/v2/{name}/manifests/{tag}")
                assert (answer.body if answer.status == 200 else None) == data, f"{name}:{tag}"
        for tag, content in images.items():
            server.push_image("after", tag, content)


def test_an_upload_goes_on_after_a_kill(tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    with registry_server(tmp_path) as server:
        location = server.begin("a").headers["location"]
        server.ask("PATCH", location, data[:1_500_000])
        server.stop(signal.SIGKILL)
        server.start()
        assert server.ask("GET", location).headers["range"] == "0-1499999"
        done = server.ask("PUT", with_query(location, digest=digest(data)), data[1_500_000:])
        assert done.status == 201
        assert server.ask("GET", f"/v2/a/blobs/{digest(data)}").body == data


def test_a_collection_that_is_killed_leaves_all_whole(tmp_path: Path) -> None:
    storage = {"delete": {"enabled": True}, "collection": {"grace": "1ns"}}
    with registry_server(tmp_path, storage=storage) as server:
        kept = server.push_image("kept", "v1")
        for number in range(12):
            data = server.push_image("gone", f"v{number}", f"layer {number}".encode())
            server.ask("DELETE", f"/v2/gone/manifests/{digest(data)}")
        when = time.time() - 86400
        for file in server.root.rglob("*"):
            if file.is_file():
                os.utime(file, (when, when))
        asking = threading.Thread(target=server.command, args=("gc",))
        asking.start()
        assert server.process is not None
        blobs = server.root / "docker/registry/v2/blobs/sha256"
        begin = len(list(blobs.glob("*/*")))
        deadline = time.monotonic() + 20 * PATIENCE
        while len(list(blobs.glob("*/*"))) == begin and time.monotonic() < deadline:
            time.sleep(0.001)
        server.stop(signal.SIGKILL)
        asking.join()
        server.start()
        assert server.command("check").stdout == "all is whole\n"
        assert server.ask("GET", "/v2/kept/manifests/v1").body == kept
        server.command("gc")
        assert len(list(blobs.glob("*/*"))) == 3


def test_no_space_is_a_clear_failure_and_nothing_is_left(tmp_path: Path) -> None:
    """ENOSPC in the middle of a push, on a small file system of its own."""
    import subprocess

    if os.geteuid():
        pytest.skip("mounting needs root")
    with contextlib.ExitStack() as undo:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", tmp_path], check=True)
        undo.callback(subprocess.run, ["umount", "-l", tmp_path], check=True)
        server = undo.enter_context(
            registry_server(tmp_path, log={"accesslog": {"disabled": True}})
        )
        kept = server.push_image("a", "v1", os.urandom(1_000_000))
        location = server.begin("a").headers["location"]
        data = os.urandom(8_000_000)
        answer = server.ask("PATCH", location, data)
        assert (answer.status, answer.code) == (503, "UNAVAILABLE")
        assert "no space" in answer.json()["errors"][0]["message"]
        assert server.ask("DELETE", location).status == 204
        assert server.ask("GET", "/v2/a/manifests/v1").body == kept
        assert server.command("check").stdout == "all is whole\n"
        assert server.push_image("a", "v2", os.urandom(1_000_000))
