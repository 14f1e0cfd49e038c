"""`POST /build`: the classic door, by docker-py, by the real client, and by hand."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import http.client
import http.server
import io
import json
import lzma
import os
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import docker
import pytest
import zstandard
from tests.support.engine import Engine
from tests.support.remote import free_port

FROM = "FROM busybox\n"


def archive(files: Mapping[str, str | bytes], **more: tarfile.TarInfo) -> bytes:
    """Return a tar of the files, and of further entries as they are."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        for entry in more.values():
            tar.addfile(entry)
    return out.getvalue()


class Answer:
    """What a build answered: its status, and its messages."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.messages: list[dict[str, Any]] = [json.loads(line) for line in body.splitlines()]

    @property
    def text(self) -> str:
        return "".join(message.get("stream", "") for message in self.messages)

    @property
    def error(self) -> dict[str, Any] | None:
        found = [m["errorDetail"] for m in self.messages if "errorDetail" in m]
        return found[-1] if found else None

    @property
    def image(self) -> str:
        found = [m["aux"]["ID"] for m in self.messages if "aux" in m]
        assert found, self.messages
        return str(found[-1])


def post(engine: Engine, body: bytes, path: str = "/build", **query: object) -> Answer:
    connection = http.client.HTTPConnection("localhost", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine.socket)
    query.setdefault("networkmode", "none")
    pairs = [(k, v) for k, v in query.items() if not isinstance(v, list)]
    pairs += [(k, one) for k, v in query.items() if isinstance(v, list) for one in v]
    connection.request(
        "POST", f"/v1.44{path}?{urlencode(pairs)}", body, {"Content-Type": "application/x-tar"}
    )
    answer = connection.getresponse()
    found = Answer(answer.status, answer.read())
    connection.close()
    return found


def build(
    engine: Engine, text: str, files: Mapping[str, str | bytes] | None = None, /, **query: object
) -> Answer:
    return post(engine, archive({"Dockerfile": text, **(files or {})}), **query)


def shown(engine: Engine, image: str, *command: str) -> str:
    return engine.docker("run", "--rm", "--network", "none", image, *command).stdout


@pytest.fixture
def api(engine: Engine) -> Iterator[docker.DockerClient]:
    client = engine.api()
    yield client
    client.close()


def test_the_words_are_the_classic_builders(engine: Engine) -> None:
    text = f"ARG A=1\n{FROM}ENV B=words-$A\nRUN echo out && echo err >&2\nCMD true\n"
    first = build(engine, text, t="words:1", buildargs='{"NOPE":"x"}')
    lines = first.text.splitlines()
    assert lines[0] == "Step 1/5 : ARG A=1"
    assert lines[1] == "Step 2/5 : FROM busybox"
    assert lines[2].startswith(" ---> ")
    assert lines[3] == "Step 3/5 : ENV B=words-$A"
    run = lines.index("Step 4/5 : RUN echo out && echo err >&2")
    assert lines[run + 1].startswith(" ---> Running in ")
    assert {"out", "\x1b[91merr"} <= set(lines)
    assert lines[-4].startswith(" ---> ")
    assert lines[-3] == "[Warning] One or more build-args [NOPE] were not consumed"
    assert lines[-2] == f"Successfully built {first.image.removeprefix('sha256:')[:12]}"
    assert lines[-1] == "Successfully tagged words:1"
    again = build(engine, text, t=["words:1", "words:2"])
    assert again.image == first.image
    assert again.text.count(" ---> Using cache") == 3
    assert again.text.endswith("Successfully tagged words:1\nSuccessfully tagged words:2\n")


def test_quiet_says_only_the_image(engine: Engine) -> None:
    answer = build(engine, f"{FROM}RUN echo loud-1\n", q="1")
    assert answer.text == answer.text.strip() + "\n"
    assert answer.text.startswith("sha256:")


def test_quiet_says_all_when_it_fails(engine: Engine) -> None:
    answer = build(engine, f"{FROM}RUN echo loud-2; false\n", q="1")
    assert "loud-2\n" in answer.text
    assert answer.error is not None


@pytest.mark.parametrize(
    ("dockerfile", "error"),
    [
        (
            "RUN exit 3",
            {"code": 3, "message": "The command '/bin/sh -c exit 3' returned a non-zero code: 3"},
        ),
        (
            "COPY gone /",
            {
                "message": "COPY failed: file not found in build context or excluded by "
                ".dockerignore: stat gone: file does not exist"
            },
        ),
        (
            "COPY --from=busybox /gone /",
            {"message": "COPY failed: stat gone: file does not exist"},
        ),
    ],
)
def test_what_fails_late_is_the_last_message(
    engine: Engine, dockerfile: str, error: dict[str, object]
) -> None:
    answer = build(engine, FROM + dockerfile)
    assert (answer.status, answer.error) == (200, error)
    assert answer.messages[-1]["error"] == error["message"]


@pytest.mark.parametrize(
    ("dockerfile", "query", "status", "message"),
    [
        ("RUNN x", {}, 400, "dockerfile parse error on line 2: unknown instruction: RUNN"),
        ("", {"target": "gone"}, 400, 'target stage "gone" could not be found'),
        ("", {"dockerfile": "gone"}, 400, "Cannot locate specified Dockerfile: gone"),
        ("", {"t": "UPPER"}, 400, "must be lowercase"),
        ("", {"buildargs": "{"}, 400, "error reading buildargs"),
        ("", {"labels": "[1]"}, 400, "error reading labels"),
        ("", {"ulimits": '[{"Name":1}]'}, 400, "error reading ulimit settings"),
        ("", {"extrahosts": "nothing"}, 400, 'bad format for add-host: "nothing"'),
        ("", {"isolation": "hyperv"}, 400, "Invalid isolation"),
        ("", {"securityopt": "x"}, 400, "does not support setting security options"),
        ("", {"platform": "a/b/c/d"}, 400, "invalid platform"),
        ("", {"remote": "ftp://x/y"}, 400, "remote context cannot be used"),
        ("", {"version": "2"}, 400, ""),
    ],
)
def test_what_fails_at_once_has_a_status(
    engine: Engine, dockerfile: str, query: dict[str, str], status: int, message: str
) -> None:
    answer = build(engine, FROM + dockerfile, **query)
    assert answer.status == status
    assert message in answer.messages[0]["message"]


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


def test_parameters_reach_the_build(engine: Engine) -> None:
    text = (
        f"{FROM}ARG A\nARG B=b\nRUN echo $A$B > /args; cat /etc/hosts > /seen; ulimit -n >> /seen; "
        "df -k /dev/shm >> /seen\nFROM busybox AS last\nRUN false\n"
    )
    answer = build(
        engine,
        text,
        buildargs='{"A":"a","B":null}',
        labels='{"l":"m"}',
        target="0",
        extrahosts="there:10.1.2.3",
        ulimits='[{"Name":"nofile","Soft":77,"Hard":88}]',
        shmsize=str(4 << 20),
        memory=str(64 << 20),
        cpuperiod="100000",
        cpuquota="50000",
        rm="0",
    )
    assert answer.error is None, answer.error
    assert shown(engine, answer.image, "cat", "/args") == "ab\n"
    seen = shown(engine, answer.image, "cat", "/seen")
    assert "10.1.2.3\tthere" in seen
    assert "\n77\n" in seen
    assert " 4096 " in seen
    inspected = json.loads(engine.docker("image", "inspect", answer.image).stdout)[0]
    assert inspected["Config"]["Labels"] == {"l": "m"}
    assert "Removing intermediate" not in answer.text


def test_no_cache_runs_again(engine: Engine) -> None:
    text = f"{FROM}RUN cat /proc/sys/kernel/random/uuid > /made\n"
    first, second = build(engine, text), build(engine, text)
    assert first.image == second.image
    assert build(engine, text, nocache="1").image != first.image


def test_the_same_input_gives_the_same_digest(engine: Engine) -> None:
    text = f"{FROM}ARG SOURCE_DATE_EPOCH\nCOPY f /f\nWORKDIR /w\nRUN echo 1 > /made\n"
    given = {"buildargs": '{"SOURCE_DATE_EPOCH":"86400"}', "nocache": "1"}
    first = build(engine, text, {"f": "x"}, **given)
    time.sleep(1.1)  # file times have seconds at the coarsest
    assert build(engine, text, {"f": "x"}, **given).image == first.image


def test_one_changed_file_runs_only_what_stands_on_it(engine: Engine) -> None:
    text = f"{FROM}COPY a /a\nRUN echo a > /ran-a\nCOPY b /b\nRUN echo b > /ran-b\n"
    build(engine, text, {"a": "1", "b": "changed-1"})
    again = build(engine, text, {"a": "1", "b": "changed-2"})
    steps = again.text.split("Step ")[1:]
    assert ["Using cache" in step for step in steps] == [False, True, True, False, False]


def test_docker_py_builds(api: docker.DockerClient, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"{FROM}COPY app /app\nCMD cat /app\n")
    (tmp_path / "app").write_text("by docker-py")
    (tmp_path / "left").write_text("")
    (tmp_path / ".dockerignore").write_text("left\n")
    image, log = api.images.build(path=str(tmp_path), tag="by-docker-py:1", network_mode="none")
    assert image.tags == ["by-docker-py:1"]
    assert any("Successfully tagged by-docker-py:1" in line.get("stream", "") for line in log)
    said: bytes = api.containers.run(image.id, remove=True, network_mode="none")
    assert said == b"by docker-py"
    with pytest.raises(docker.errors.BuildError, match="returned a non-zero code: 5"):
        api.images.build(fileobj=io.BytesIO(f"{FROM}RUN exit 5\n".encode()))


@pytest.mark.docker_cli
@pytest.mark.parametrize("program", ["docker", "/usr/bin/docker"])
def test_the_real_client_builds(engine: Engine, tmp_path: Path, program: str) -> None:
    if program.startswith("/") and not os.access(program, os.X_OK):
        pytest.skip("the distribution's docker command is not installed")
    (tmp_path / "Dockerfile").write_text(f"{FROM}COPY . /c\nRUN test -f /c/Dockerfile\n")
    environment = {**os.environ, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": f"{engine.root}/config"}
    done = subprocess.run(
        [program, "-H", engine.host, "build", "-t", "cli:1", "--network=none", str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("Successfully tagged cli:1\n")
    standard_input = subprocess.run(
        [program, "-H", engine.host, "build", "-q", "--network=none", "-"],
        env=environment,
        input=f"{FROM}RUN exit 9\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert standard_input.returncode == 9


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
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_flags_that_dockerd_of_the_distribution_does_not_know(engine: Engine) -> None:
    inner = archive({"in/side": "packed"})
    files = {
        "a/b/c.txt": "c",
        "a/b/d.o": "d",
        "a/x/c.txt": "x",
        "p.tar": inner,
        "parts/run.dockerfile": "RUN echo included > /included\n",
    }
    text = f"""# include=on
{FROM}COPY --parents a/*/c.txt /parents/
COPY --parents ./a/./b/c.txt /pivot/
COPY --exclude=**/*.o --exclude=x a /excluded
COPY --chmod=u=rwX,go=rX a/b /modes
COPY --link a/b/c.txt /linked/
ADD --unpack=false p.tar /kept/
ADD p.tar /unpacked/
INCLUDE parts/run.dockerfile
RUN cat /linked/c.txt > /after-link
"""
    answer = build(engine, text, files)
    assert answer.error is None, answer.error
    found = shown(
        engine,
        answer.image,
        "sh",
        "-c",
        "cd / && find parents pivot excluded modes linked kept unpacked included after-link "
        "-type f | sort; stat -c %a /modes/c.txt",
    )
    assert found.split() == [
        "after-link",
        "excluded/b/c.txt",
        "included",
        "kept/p.tar",
        "linked/c.txt",
        "modes/c.txt",
        "modes/d.o",
        "parents/a/b/c.txt",
        "parents/a/x/c.txt",
        "pivot/b/c.txt",
        "unpacked/in/side",
        "644",
    ]


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


def test_what_was_done_again_is_found_again(engine: Engine) -> None:
    """A context gets another name each time; what was copied from it is known by its content."""
    text, files = f"{FROM}COPY f /f-again\nRUN date +%N > /when\n", {"f": "again"}
    first = build(engine, text, files)
    anew = build(engine, text, files, nocache="1")
    assert anew.image != first.image
    assert "Using cache" not in anew.text
    third = build(engine, text, files)
    assert third.image == anew.image
    assert third.text.count("Using cache") == 2


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


def test_a_client_that_leaves_stops_its_build(engine: Engine) -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(engine.socket)
    body = archive({"Dockerfile": f"{FROM}RUN echo begun-$$; sleep 1000\n"})
    head = (
        "POST /v1.44/build?networkmode=none HTTP/1.1\r\nHost: x\r\n"
        f"Content-Type: application/x-tar\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    said = b""
    while b"begun-" not in said:
        said += connection.recv(65536)
    connection.close()
    _wait_until_nothing_runs(engine)


def test_a_build_is_cancelled_by_its_number(engine: Engine) -> None:
    found: list[Answer] = []
    text = f"{FROM}RUN echo cancel-me; sleep 1001\n"
    thread = threading.Thread(target=lambda: found.append(build(engine, text, buildid="mine")))
    thread.start()
    deadline = time.monotonic() + 20
    while post(engine, b"", "/build/cancel", id="mine").status != 204:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    thread.join(20)
    assert not thread.is_alive()
    last = found[0].messages[-1]
    assert (last.get("error") or last["message"]) == "context canceled"
    _wait_until_nothing_runs(engine)
    assert post(engine, b"", "/build/cancel").status == 400


def _wait_until_nothing_runs(engine: Engine) -> None:
    deadline = time.monotonic() + 20
    while any(_sleeps(pid) for pid in os.listdir("/proc") if pid.isdigit()):
        assert time.monotonic() < deadline, engine.tail()
        time.sleep(0.05)


def _sleeps(pid: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[:2] in ([b"sleep", b"1000"], [b"sleep", b"1001"])


def test_the_cache_is_pruned(own_engine: Engine) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    text = f"{FROM}RUN echo x > /x\n"
    build(own_engine, text, t="pruned:1")
    own_engine.docker("image", "rm", "pruned:1")
    answer = post(own_engine, b"", "/build/prune", all="1")
    assert answer.status == 200
    assert len(answer.messages[0]["CachesDeleted"]) >= 1
    assert answer.messages[0]["SpaceReclaimed"] > 0
    assert "Using cache" not in build(own_engine, text).text.split("Step 2/2")[1]
