"""Contexts of `POST /build`: packed, fetched, hostile, or without a Dockerfile."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import http.client
import http.server
import lzma
import os
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import zstandard
from tests.support.classic import FROM, archive, build, post, shown
from tests.support.engine import PATIENCE, Engine
from tests.support.remote import free_port

PACKED = {
    "plain": lambda data: data,
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}


@pytest.mark.parametrize("how", PACKED)
def test_a_context_may_be_packed(engine: Engine, how: str) -> None:
    body = archive({"Dockerfile": f"{FROM}COPY f /f\n", "f": how})
    answer = post(engine, PACKED[how](body), t="packed:1")
    assert shown(engine, answer.image, "cat", "/f") == how


@pytest.mark.parametrize("how", PACKED)
def test_a_context_that_is_cut_short_is_refused(engine: Engine, how: str) -> None:
    files = {"Dockerfile": f"{FROM}COPY . /c\n", "f": os.urandom(300_000)}
    body = PACKED[how](archive(files))
    for end in (len(body) // 2, len(body) // 3):
        answer = post(engine, body[:end])
        assert (answer.status, len(answer.messages)) == (400, 1)
        assert "unexpected EOF" in answer.messages[0]["message"]


@pytest.mark.parametrize(
    "files",
    [
        {"dockerfile": f"{FROM}RUN true\n"},
        {"./Dockerfile": f"{FROM}RUN true\n"},
        {"Dockerfile": f"\ufeff{FROM}RUN true\n".replace("\n", "\r\n")},
    ],
)
def test_the_dockerfile_is_found(engine: Engine, files: dict[str, str]) -> None:
    assert post(engine, archive(files)).error is None


def test_what_is_left_out_and_hides_itself_is_gone(engine: Engine) -> None:
    files = {".dockerignore": "Dockerfile\n.dockerignore\n", "kept": ""}
    answer = build(engine, f"{FROM}COPY . /c/\n", files)
    assert shown(engine, answer.image, "ls", "-A", "/c") == "kept\n"


class Site(http.server.BaseHTTPRequestHandler):
    """Serves what the test has put there."""

    pages: Mapping[str, bytes] = {}

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        self.send_response(404 if page is None else 200)
        self.send_header("Content-Length", str(len(page or b"")))
        self.end_headers()
        self.wfile.write(page or b"")

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_context_by_url(engine: Engine, site: str) -> None:
    body = archive({"sub/Dockerfile": f"{FROM}COPY f /f\n", "f": "from a url"})
    Site.pages = {"/c.tar.gz": gzip.compress(body), "/D": f"{FROM}RUN echo d > /f\n".encode()}
    whole = post(engine, b"", remote=f"{site}/c.tar.gz", dockerfile="sub/Dockerfile")
    assert shown(engine, whole.image, "cat", "/f") == "from a url"
    alone = post(engine, b"", remote=f"{site}/D", dockerfile="ignored/for/a/file")
    assert shown(engine, alone.image, "cat", "/f") == "d\n"
    gone = post(engine, b"", remote=f"{site}/gone")
    assert gone.status >= 400


def test_a_context_from_a_repository(engine: Engine, tmp_path: Path) -> None:
    program = Path("/usr/lib/git-core/git-daemon")
    if not program.exists():
        pytest.skip("git daemon is not installed")
    work = tmp_path / "served.git"
    (work / "sub").mkdir(parents=True)
    (work / "Dockerfile").write_text(f"{FROM}COPY . /c/\n")
    (work / "sub/Dockerfile").write_text(f"{FROM}COPY f /f\n")
    (work / "sub/f").write_text("from a folder")
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(tmp_path)}
    who = ["-c", "user.name=n", "-c", "user.email=e@e", "-c", "init.defaultBranch=main"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run(["git", *who, *words], cwd=work, env=environment, check=True)
    port = free_port()
    serving = ["--export-all", f"--base-path={tmp_path}", "--listen=127.0.0.1", f"--port={port}"]
    daemon = subprocess.Popen([program, *serving], stderr=subprocess.DEVNULL)
    try:
        _wait_for_port(port)
        remote = f"git://127.0.0.1:{port}/served.git"
        whole = post(engine, b"", remote=remote)
        assert shown(engine, whole.image, "ls", "-A", "/c") == "Dockerfile\nsub\n"
        part = post(engine, b"", remote=f"{remote}#main:sub")
        assert shown(engine, part.image, "cat", "/f") == "from a folder"
    finally:
        daemon.terminate()
        daemon.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 30 * PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_what_is_fetched_is_checked(engine: Engine, site: str) -> None:
    Site.pages = {"/f": b"fetched"}
    good = f"sha256:{hashlib.sha256(b'fetched').hexdigest()}"
    text = f"{FROM}ADD --checksum={good} --chmod=640 {site}/f /got/\n"
    answer = build(engine, text)
    assert (
        shown(engine, answer.image, "sh", "-c", "cat /got/f; stat -c :%a /got/f") == "fetched:640\n"
    )
    bad = build(engine, text.replace(good, "sha256:" + "0" * 64))
    assert bad.error is not None
    assert "digest mismatch" in bad.error["message"]


def hostile(name: str, kind: bytes = tarfile.SYMTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, link
    return entry


def test_a_context_cannot_escape(engine: Engine, tmp_path: Path) -> None:
    """Names and links that lead out of the context lead nowhere, whichever way they are read."""
    (tmp_path / "secret").write_text("the host's")
    files = {
        "../../up": "x",
        "/abs": "y",
        "Dockerfile": f"{FROM}COPY out /a\nRUN true\n",
    }
    body = archive(
        files,
        out=hostile("out", link=str(tmp_path / "secret")),
        folder=hostile("d", link=str(tmp_path)),
    )
    answer = post(engine, body)
    assert answer.status == 400 or answer.error is not None, answer.messages
    assert "the host's" not in answer.text
    linked = archive({}, one=hostile("Dockerfile", link=str(tmp_path / "secret")))
    assert post(engine, linked).status == 400
    through = archive({}, one=hostile("d", link=str(tmp_path)))[:-1024]
    through += archive({"d/written": "no", "Dockerfile": FROM})
    post(engine, through)
    assert not (tmp_path / "written").exists()
    assert not os.path.exists("/tmp/up")


@pytest.mark.parametrize("body", [b"", b"no archive at all", archive({"x": "y"})])
def test_a_context_without_a_dockerfile_is_refused(engine: Engine, body: bytes) -> None:
    assert post(engine, body).status == 400


def test_an_empty_dockerfile_is_told_as_such(engine: Engine) -> None:
    answer = post(engine, archive({"Dockerfile": ""}))
    message = "the Dockerfile (Dockerfile) cannot be empty"
    assert (answer.status, answer.messages) == (400, [{"message": message}])
