"""Pages of builds of the past, served by the client and read as a browser reads them."""

from __future__ import annotations

import contextlib
import http.client
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from tests.support.engine import BOXSHIP, PATIENCE, Engine

EVIL = "RUN : '<script>alert(1)</script>'; echo said"


class Served(NamedTuple):
    """Pages that a command serves."""

    process: subprocess.Popen[str]
    port: int
    path: str

    def ask(
        self, page: str = "", method: str = "GET", host: str = "localhost", path: str = ""
    ) -> tuple[http.client.HTTPResponse, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30 * PATIENCE)
        connection.request(method, path or self.path + page, headers={"Host": host})
        answer = connection.getresponse()
        return answer, answer.read().decode()


@contextlib.contextmanager
def serving(engine: Engine, *words: str) -> Iterator[Served]:
    command = [*BOXSHIP, "-H", engine.host, "buildx", "history", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"\w+ available at http://127\.0\.0\.1:(\d+)(/[\w-]{20,}/)\n", line)
        assert found, line
        yield Served(process, int(found[1]), found[2])
        process.send_signal(signal.SIGINT)
        assert process.wait(30 * PATIENCE) == 0
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", int(found[1])))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def refs(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two builds of one file; the second one had everything already."""
    folder = tmp_path_factory.mktemp("context")
    (folder / "Dockerfile").write_text(f"FROM busybox:latest\n{EVIL}\nRUN sleep 0.2\n")
    arg = f"STAMP={time.monotonic_ns()}"
    for _ in range(2):
        engine.boxship("build", "-q", "--build-arg", arg, "-t", "paged:1", str(folder))
    listed = engine.boxship("buildx", "history", "ls", "--format", "{{.Ref}}").stdout.split()
    return listed[1], listed[0]


def test_a_record_is_opened_as_a_page(engine: Engine, refs: tuple[str, str]) -> None:
    with serving(engine, "open", refs[0]) as served:
        answer, text = served.ask()
        assert answer.status == 200
        assert "&lt;script&gt;alert(1)" in text
        assert "<script" not in text
        assert re.search(r"<pre>\d\.\d+ said</pre>", text)
        assert "busybox" in text
        assert "STAMP" in text
        for link in set(re.findall(r'href="([^"]+)"', text)):
            assert served.ask(link)[0].status == 200
        provenance, text = served.ask("attachment-0")
        assert provenance.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "buildType" in text


def test_a_trace_is_served_and_compared(engine: Engine, refs: tuple[str, str]) -> None:
    with serving(engine, "trace", "--addr", "127.0.0.1:0", refs[0]) as served:
        text = served.ask()[1]
        assert "Control/Solve" in text
        assert text.count("<rect") >= 4
        assert "<script" not in text
    words = ("trace", "--compare", refs[1], refs[0])
    table = engine.boxship("buildx", "history", *words).stdout
    (row,) = (line for line in table.splitlines() if "RUN sleep" in line)
    assert re.search(r"\d\.\ds +CACHED +-\d\.\ds$", row)
    with serving(engine, *words, "--addr", ":0") as served:
        text = served.ask()[1]
        assert re.search(r'<tr class="faster"><td class="name">[^<]*RUN sleep', text)
        for page in ("first", "second"):
            assert "Control/Solve" in served.ask(page)[1]


@pytest.fixture(scope="module")
def served(engine: Engine, refs: tuple[str, str]) -> Iterator[Served]:
    with serving(engine, "open", refs[0]) as served:
        yield served


@pytest.mark.parametrize(
    ("method", "host", "status"),
    [
        ("GET", "127.0.0.1:1", 200),
        ("GET", "[::1]:80", 200),
        ("GET", "evil.example:80", 421),
        ("GET", "127.0.0.1.evil.example", 421),
        ("GET", "", 421),
        ("POST", "localhost", 405),
        ("HEAD", "localhost", 405),
        ("OPTIONS", "localhost", 405),
        ("BREW", "localhost", 501),
    ],
)
def test_pages_are_only_read_and_under_names_of_their_own(
    served: Served, method: str, host: str, status: int
) -> None:
    answer, text = served.ask(method=method, host=host)
    assert answer.status == status
    assert (status == 200) == ("said" in text)
    if status != 501:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'self';")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_pages_are_read_by_who_was_told_where_they_are(served: Served) -> None:
    for path in ("/", "/style.css", "/x" + served.path, served.path + "../", served.path + "x"):
        assert served.ask(path=path)[0].status == 404


def test_nonsense_disturbs_nobody(served: Served) -> None:
    for data in (b"\x16\x03\x01nonsense\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", served.port)) as visitor:
            visitor.sendall(data)
            visitor.shutdown(socket.SHUT_WR)
            assert b"200 OK" not in visitor.recv(10_000)
    assert served.ask()[0].status == 200


def test_an_address_that_is_taken_is_told_of(engine: Engine, refs: tuple[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        words = ("open", "--addr", f"127.0.0.1:{taken.getsockname()[1]}", refs[0])
        done = engine.boxship("buildx", "history", *words, check=False)
    assert (done.returncode, "address already in use" in done.stderr) == (1, True)
