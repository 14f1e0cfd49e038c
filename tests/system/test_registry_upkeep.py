"""What the owner of a registry does with it: collect, retain, check, look at it."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import PATIENCE
from tests.support.registry_server import (
    CHECKOUT,
    RegistryServer,
    descriptor,
    digest,
    index,
    manifest,
    registry_server,
)

DELETE = {"delete": {"enabled": True}}


def blobs(server: RegistryServer) -> set[str]:
    return {f"sha256:{file.parent.name}" for file in server.root.rglob("blobs/sha256/*/*/data")}


def age(server: RegistryServer, days: float = 2) -> None:
    """Have all that a registry keeps been used some days ago."""
    when = time.time() - days * 86400
    for file in server.root.rglob("*"):
        if file.is_file():
            os.utime(file, (when, when))


# Collection


def test_collection_says_why_and_takes_only_what_nothing_needs(tmp_path: Path) -> None:
    with registry_server(tmp_path, storage=DELETE) as server:
        kept = server.push_image("a/b", "v1", b"kept")
        gone = server.push_image("a/b", "v2", b"gone")
        loose = server.push_blob("a/b", b"never referred to")
        server.ask("DELETE", f"/v2/a/b/manifests/{digest(gone)}")
        before = blobs(server)
        assert "would remove 0 things" in server.command("gc", "--dry-run").stdout
        age(server)
        told = server.command("gc", "--dry-run").stdout
        assert blobs(server) == before
        reason = "no manifest of any repository refers to it; last used 2 days ago"
        assert f"would remove blob {loose} (17B): {reason}" in told
        assert f"would remove blob {digest(gone)}" in told
        assert digest(kept) not in told
        done = server.command("gc").stdout
        assert done.splitlines()[:-1] == [
            line.replace("would remove", "removed") for line in told.splitlines()[:-1]
        ]
        assert before - blobs(server) >= {digest(gone), digest(b"gone"), loose}
        assert server.ask("GET", "/v2/a/b/manifests/v1").body == kept
        assert server.ask("GET", f"/v2/a/b/blobs/{digest(b'kept')}").body == b"kept"
        assert server.command("check").stdout == "all is whole\n"


def test_untagged_manifests_go_when_that_is_asked_for(tmp_path: Path) -> None:
    """What an index lists stays, and what has something kept as its subject."""
    with registry_server(tmp_path, storage=DELETE) as server:
        child = server.push_image("a", "child", b"child")
        server.push_manifest("a", "all", index(child))
        server.ask("DELETE", "/v2/a/manifests/child")
        old = server.push_image("a", "v1", b"old")
        new = server.push_image("a", "v1", b"new")
        signatures = []
        for subject in (old, new):
            about = descriptor(subject, "application/vnd.oci.image.manifest.v1+json")
            data = json.dumps(manifest(b"{}", [], subject=about)).encode()
            server.push_blob("a", b"{}")
            assert server.push_manifest("a", digest(data), data).status == 201
            signatures.append(data)
        age(server)
        told = server.command("gc", "--dry-run", "--delete-untagged").stdout
        manifests = {line.split()[3] for line in told.splitlines() if "remove manifest" in line}
        assert manifests == {digest(old), digest(signatures[0])}
        server.command("gc", "--delete-untagged")
        for data, status in ((child, 200), (new, 200), (signatures[1], 200), (old, 404)):
            assert server.ask("GET", f"/v2/a/manifests/{digest(data)}").status == status
        assert server.command("check").stdout == "all is whole\n"


def test_a_repository_in_which_nothing_is_left_is_gone(tmp_path: Path) -> None:
    with registry_server(tmp_path, storage=DELETE) as server:
        data = server.push_image("a/b", "v1")
        server.push_image("a/b/c", "v1", b"other")
        server.ask("DELETE", f"/v2/a/b/manifests/{digest(data)}")
        age(server)
        server.command("gc")
        assert server.ask("GET", "/v2/_catalog").json() == {"repositories": ["a/b/c"]}


def test_what_is_being_pushed_survives_a_collection(tmp_path: Path) -> None:
    """A client that was told of a blob may refer to it, however old the blob is."""
    with registry_server(tmp_path, storage=DELETE) as server:
        config, layer = b"{}", b"an old layer"
        for data in (config, layer):
            server.push_blob("a", data)
        upload = server.begin("a").headers["location"]
        server.ask("PATCH", upload, b"half")
        age(server)
        for data in (config, layer):
            assert server.ask("HEAD", f"/v2/a/blobs/{digest(data)}").status == 200
        server.command("gc")
        assert server.push_manifest("a", "v1", manifest(config, [layer])).status == 201
        assert server.ask("GET", upload).headers["range"] == "0-3"


def test_collections_and_pushes_at_once_lose_nothing(tmp_path: Path) -> None:
    storage = {**DELETE, "collection": {"grace": "1ns"}}
    with registry_server(tmp_path, storage=storage) as server:
        ending = threading.Event()

        def collect() -> None:
            while not ending.is_set():
                server.command("gc", "--delete-untagged")

        collector = threading.Thread(target=collect)
        collector.start()
        pushed = {}
        for number in range(40):
            tag = f"v{number % 4}"
            pushed[tag] = server.push_image("a", tag, f"layer {number % 7}".encode())
        ending.set()
        collector.join()
        for tag, data in pushed.items():
            assert server.ask("GET", f"/v2/a/manifests/{tag}").body == data
        assert server.command("check").stdout == "all is whole\n"


def test_a_manifest_that_cannot_be_read_stops_a_collection(tmp_path: Path) -> None:
    with registry_server(tmp_path) as server:
        data = server.push_image("a", "v1")
        server.stop()
        (file,) = server.root.rglob(f"*/{digest(data)[7:]}/data")
        file.write_bytes(b"x" * len(data))
        age(server)
        before = blobs(server)
        done = server.command("gc")
        assert done.returncode == 1
        assert "nothing was removed" in done.stderr
        assert blobs(server) == before


# Retention


def test_retention_keeps_what_the_rules_keep(tmp_path: Path) -> None:
    rules = [
        {"repositories": ["ci/**"], "tags": ["pr-*"], "keep": {"newest": 1, "younger": "10d"}},
        {"repositories": ["ci/**"], "keep": {"tags": ["v*", "latest"]}},
    ]
    with registry_server(tmp_path, retention={"rules": rules}) as server:
        for tag in ("pr-1", "pr-2", "pr-3", "v1", "latest", "odd"):
            data = server.push_image("ci/app", tag, tag.encode())
        server.push_manifest("other", "odd", data)
        server.push_image("other", "odd")
        tags = server.root / "docker/registry/v2/repositories/ci/app/_manifests/tags"
        for tag, days in (("pr-1", 40), ("pr-2", 30), ("pr-3", 20)):
            when = time.time() - days * 86400
            os.utime(tags / tag / "current/link", (when, when))
        told = server.command("retention", "--dry-run").stdout.splitlines()
        assert told == [
            "would remove tag ci/app:pr-2: by rule 1 it is number 2 of which 1 are kept,"
            " 4 weeks old and 10 days are kept",
            "would remove tag ci/app:pr-1: by rule 1 it is number 3 of which 1 are kept,"
            " 5 weeks old and 10 days are kept",
            "would remove tag ci/app:odd: by rule 2 it is none of v*, latest",
            "would remove 3 tags",
        ]
        assert server.command("retention").stdout.splitlines()[-1] == "removed 3 tags"
        found = server.ask("GET", "/v2/ci/app/tags/list").json()["tags"]
        assert found == ["latest", "pr-3", "v1"]
        assert server.ask("GET", "/v2/other/tags/list").json()["tags"] == ["odd"]


# Checking


def test_damage_is_found_and_mended_by_pushing_again(tmp_path: Path) -> None:
    with registry_server(tmp_path) as server:
        data = server.push_image("a", "v1", b"a layer")
        server.push_image("a", "v2", b"whole")
        (file,) = server.root.rglob(f"*/{digest(b'a layer')[7:]}/data")
        file.write_bytes(b"A layer")
        found = server.command("check")
        assert found.returncode == 1
        assert f"blob {digest(b'a layer')} is damaged" in found.stdout
        assert f"manifest {digest(data)} in a lacks blob {digest(b'a layer')}" in found.stdout
        assert server.command("check", "--repair").returncode == 1
        server.push_blob("a", b"a layer")
        assert server.command("check").stdout == "all is whole\n"
        assert server.ask("GET", f"/v2/a/blobs/{digest(b'a layer')}").body == b"a layer"


def test_lost_content_is_found(tmp_path: Path) -> None:
    with registry_server(tmp_path) as server:
        data = server.push_image("a", "v1")
        server.stop()
        (file,) = server.root.rglob(f"*/{digest(data)[7:]}/data")
        file.unlink()
        found = server.command("check").stdout
        assert f"repository a has lost manifest {digest(data)}" in found
        assert f"tag a:v1 names {digest(data)}, which is not there" in found
        server.command("check", "--repair")
        assert server.command("check").stdout == "all is whole\n"


def test_one_folder_has_one_server(tmp_path: Path) -> None:
    with registry_server(tmp_path) as server:
        second = server.command("serve", "--addr", "127.0.0.1:0")
        assert second.returncode == 1
        assert "another registry serves" in second.stderr


def test_uploads_that_were_given_up_are_purged(tmp_path: Path) -> None:
    with registry_server(tmp_path) as server:
        location = server.begin("a").headers["location"]
        server.ask("PATCH", location, b"half")
        assert server.command("purge").stdout == ""
        folder = server.root / "docker/registry/v2/repositories/a/_uploads"
        for path in (folder / location.rpartition("/")[2], *folder.rglob("*")):
            os.utime(path, (1e9, 1e9))
        assert "nothing has come for" in server.command("purge").stdout
        assert server.ask("GET", location).status == 404


def test_the_client_has_the_commands(tmp_path: Path) -> None:
    """`boxship registry` is the registry's program."""
    launcher = str(CHECKOUT / "src/boxship/cli/launch.py")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", launcher, "registry", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=60 * PATIENCE)

    with registry_server(tmp_path) as server:
        server.push_image("a", "v1")
        config = str(tmp_path / "config.yml")
        assert run("check", config).stdout == "all is whole\n"
        assert "0 things" in run("gc", "--dry-run", config).stdout
        assert run("serve", "--validate", config).stderr == "configuration OK\n"
        bad = run("serve", "--validate", "--addr", "nonsense:", str(tmp_path / "none.yml"))
        assert bad.returncode == 1
    assert "no rules of retention" in run("retention", "--root", str(server.root)).stdout


# Events, health, metrics, logs


class Listener:
    """Takes notifications; refuses the first of them."""

    def __init__(self, refusals: int) -> None:
        self.events: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        listener = self
        left = [refusals]

        class Taker(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if left[0]:
                    left[0] -= 1
                    self.send_error(500)
                    return
                listener.headers.append(dict(self.headers))
                listener.events += json.loads(body)["events"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/events"


@contextmanager
def listener(refusals: int = 0) -> Iterator[Listener]:
    made = Listener(refusals)
    threading.Thread(target=made.server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


def test_events_are_told_in_order_and_again_when_refused(tmp_path: Path) -> None:
    with listener(refusals=1) as taker:
        endpoint = {
            "name": "taker",
            "url": taker.url,
            "headers": {"X-Secret": ["s"]},
            "threshold": 1,
            "backoff": "10ms",
        }
        notifications = {"endpoints": [endpoint], "events": {"includereferences": True}}
        with registry_server(tmp_path, notifications=notifications, storage=DELETE) as server:
            data = server.push_image("a/b", "v1")
            server.ask("GET", "/v2/a/b/manifests/v1", User_Agent="tester")
            server.begin("c", mount=digest(b"layer"), **{"from": "a/b"})
            server.ask("DELETE", "/v2/a/b/manifests/v1")
        # A server that stops tells first what has happened.
    assert [event["action"] for event in taker.events] == [
        *("push", "push", "push", "pull", "mount", "delete")
    ]
    push, pull, mount, delete = taker.events[2:]
    assert push["target"]["digest"] == digest(data)
    assert push["target"]["tag"] == "v1"
    assert push["target"]["repository"] == "a/b"
    assert push["target"]["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert push["target"]["url"].endswith(f"/v2/a/b/manifests/{digest(data)}")
    assert {one["digest"] for one in push["target"]["references"]} >= {digest(b"layer")}
    assert pull["request"]["useragent"] == "tester"
    assert pull["request"]["method"] == "GET"
    assert mount["target"]["fromRepository"] == "a/b"
    assert delete["target"]["tag"] == "v1"
    assert taker.headers[0]["X-Secret"] == "s"
    assert taker.headers[0]["Content-Type"].startswith("application/vnd.docker.distribution.events")


def test_an_endpoint_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    endpoint = {"name": "nobody", "url": "http://127.0.0.1:1/", "backoff": "1h", "threshold": 1}
    with registry_server(tmp_path, notifications={"endpoints": [endpoint]}) as server:
        assert server.push_image("a", "v1")
        assert server.stop() == 0


def test_health_and_metrics_have_a_listener_of_their_own(tmp_path: Path) -> None:
    down = tmp_path / "down"
    http_section = {
        "debug": {"addr": "127.0.0.1:0", "prometheus": {"enabled": True}},
        "headers": {"X-Mine": ["yes"]},
    }
    health = {"file": [{"file": str(down), "interval": "10ms"}]}
    with registry_server(tmp_path, http=http_section, health=health) as server:
        assert server.ask("GET", "/healthz").body == b"ok\n"
        assert server.ask("GET", "/readyz").status == 200
        assert server.ask("GET", "/v2/").headers["x-mine"] == "yes"
        assert server.ask("GET", "/metrics").status == 404
        down.touch()
        deadline = time.monotonic() + 30 * PATIENCE
        while server.ask("GET", "/readyz").status == 200 and time.monotonic() < deadline:
            time.sleep(0.02)
        answer = server.ask("GET", "/readyz")
        assert (answer.status, answer.json()) == (503, {f"file {down}": "the file exists"})


def test_metrics_count_what_was_asked(tmp_path: Path) -> None:
    debug = {"prometheus": {"enabled": True}}
    with registry_server(tmp_path, http={"debug": debug}) as server:
        server.push_image("a", "v1")
        server.ask("GET", "/v2/a/manifests/v1")
        server.ask("GET", "/v2/a/manifests/none")
        text = server.ask("GET", "/metrics").body.decode()
    assert 'registry_http_requests_total{handler="manifest",method="get",code="200"} 1' in text
    assert 'registry_http_requests_total{handler="manifest",method="get",code="404"} 1' in text
    assert 'registry_events_total{action="push"} 3' in text
    assert 'registry_http_request_duration_seconds_bucket{handler="manifest",le="+Inf"} 3' in text


def test_the_access_log_tells_each_request(tmp_path: Path) -> None:
    with registry_server(tmp_path, log={"fields": {"service": "mine"}}) as server:
        server.push_blob("a", b"12345")
        server.ask("GET", f"/v2/a/blobs/{digest(b'none')}", User_Agent='odd "agent"')
        server.stop()
        lines = [line for line in server.log() if line["msg"] == "request"]
    put, get = lines[-2:]
    assert (put["method"], put["status"], put["received"]) == ("PUT", 201, 5)
    assert (get["status"], get["agent"], get["repository"]) == (404, 'odd "agent"', "a")
    assert get["problem"] == "blob unknown to registry"
    assert get["service"] == "mine"


def test_what_is_being_sent_is_sent_to_its_end(tmp_path: Path) -> None:
    """A server that stops takes no new request and finishes those it has."""
    data = os.urandom(30_000_000)
    with registry_server(tmp_path) as server:
        named = server.push_blob("a", data)
        connection = server.connect()
        connection.request("GET", f"/v2/a/blobs/{named}")
        answer = connection.getresponse()
        begin = answer.read(1000)
        assert server.process is not None
        server.process.terminate()
        deadline = time.monotonic() + 30 * PATIENCE
        while time.monotonic() < deadline:  # until nobody is let in any more
            try:
                server.connect().connect()
            except ConnectionRefusedError:
                break
            time.sleep(0.02)
        assert begin + answer.read() == data
        connection.close()
        assert server.process.wait(20 * PATIENCE) == 0


# Read only, and taking over


def test_a_registry_that_is_read_only_says_so(tmp_path: Path) -> None:
    with registry_server(tmp_path) as server:
        data = server.push_image("a", "v1")
        server.stop()
        server.config["storage"] = {"maintenance": {"readonly": {"enabled": True}}, **DELETE}
        server.start()
        assert server.ask("GET", "/v2/a/manifests/v1").body == data
        for method, path in (
            ("POST", "/v2/a/blobs/uploads/"),
            ("PUT", "/v2/a/manifests/v2"),
            ("DELETE", "/v2/a/manifests/v1"),
        ):
            answer = server.ask(method, path, b"{}")
            assert (answer.status, answer.code) == (405, "UNSUPPORTED")
            assert "read-only" in answer.json()["errors"][0]["message"]


@pytest.mark.skipif(not os.path.exists("/usr/bin/docker-registry"), reason="no docker-registry")
def test_folders_change_hands_with_the_reference_server(tmp_path: Path) -> None:
    """What one of the two has written the other one serves."""
    config = tmp_path / "reference.yml"
    folder = tmp_path / "root"
    section = {"filesystem": {"rootdirectory": str(folder)}, **DELETE}
    document = {"version": 0.1, "storage": section, "http": {"addr": "127.0.0.1:0"}}
    config.write_text(json.dumps({**document, "log": {"level": "info"}}))

    @contextmanager
    def reference() -> Iterator[RegistryServer]:
        with (tmp_path / "reference.log").open("ab") as log:
            start = log.tell()
            process = subprocess.Popen(
                ["/usr/bin/docker-registry", "serve", config], stdout=log, stderr=log
            )
        try:
            made = RegistryServer(tmp_path / "x")
            deadline = time.monotonic() + 20 * PATIENCE
            while not made.port and time.monotonic() < deadline:
                text = (tmp_path / "reference.log").read_bytes()[start:].decode()
                if "listening on 127.0.0.1:" in text:
                    made.port = int(text.partition("listening on 127.0.0.1:")[2].split('"')[0])
                time.sleep(0.02)
            yield made
        finally:
            process.terminate()
            process.wait()

    with reference() as theirs:
        first = theirs.push_image("a/b", "theirs", b"theirs")
    with registry_server(tmp_path) as ours:
        assert ours.ask("GET", "/v2/a/b/manifests/theirs").body == first
        assert ours.ask("GET", f"/v2/a/b/blobs/{digest(b'theirs')}").body == b"theirs"
        assert ours.command("check").stdout == "all is whole\n"
        second = ours.push_image("a/b", "ours", b"ours")
    with reference() as theirs:
        found = theirs.ask("GET", "/v2/a/b/tags/list").json()["tags"]
        assert sorted(found) == ["ours", "theirs"]
        accept = "application/vnd.oci.image.manifest.v1+json"
        assert theirs.ask("GET", "/v2/a/b/manifests/ours", Accept=accept).body == second
        assert theirs.ask("GET", f"/v2/a/b/blobs/{digest(b'ours')}").body == b"ours"
