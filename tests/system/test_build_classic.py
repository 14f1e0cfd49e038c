"""`POST /build`: the classic door, by docker-py, by the real client, and by hand."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from tests.support.classic import FROM, Answer, archive, build, post, shown
from tests.support.engine import PATIENCE, Engine


def shown_id(engine: Engine, image: str) -> str:
    return engine.docker("image", "inspect", "-f", "{{.Id}}", image).stdout.strip()


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
    assert ["aux" in m for m in first.messages[-4:]] == [True, False, False, False]
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
        ("COPY gone* /", {"message": "COPY failed: no source files were specified"}),
        ("ADD gone/* /", {"message": "ADD failed: no source files were specified"}),
        (
            r"COPY go\\ne /",
            {
                "message": "COPY failed: file not found in build context or excluded by "
                r".dockerignore: stat go\ne: file does not exist"
            },
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
        ("ENV x", {}, 400, "failed to parse Dockerfile: ENV must have two arguments"),
        ("", {"target": "gone"}, 400, 'target stage "gone" could not be found'),
        ("", {"dockerfile": "gone"}, 400, "Cannot locate specified Dockerfile: gone"),
        ("", {"t": "UPPER"}, 400, "must be lowercase"),
        ("", {"dockerfile": "../Dockerfile"}, 400, "forbidden path outside the build context: ../"),
        ("", {"t": "sha256:12"}, 400, "refusing to create an ambiguous tag"),
        ("", {"buildargs": "{"}, 400, "error reading build args"),
        ("", {"labels": "[1]"}, 400, "error reading labels"),
        ("", {"ulimits": '[{"Name":1}]'}, 400, "error reading ulimit settings"),
        ("", {"extrahosts": "nothing"}, 400, 'bad format for add-host: "nothing"'),
        ("", {"cachefrom": "{}"}, 400, "error reading cache-from"),
        ("", {"isolation": "hyperv"}, 400, 'unsupported isolation: "hyperv"'),
        ("", {"securityopt": "x"}, 400, "does not support setting security options"),
        ("", {"platform": "a/b/c/d"}, 400, "invalid platform"),
        ("", {"remote": "ftp://x/y"}, 400, "remote context cannot be used"),
        ("", {"version": "3"}, 400, 'invalid version "3"'),
        ("", {"version": "2", "labels": "[]"}, 400, ""),
    ],
)
def test_what_fails_at_once_has_a_status(
    engine: Engine, dockerfile: str, query: dict[str, str], status: int, message: str
) -> None:
    answer = build(engine, FROM + dockerfile, **query)
    assert answer.status == status
    assert message in answer.messages[0]["message"]


def test_links_that_lead_up_are_followed_in_stages_and_images(engine: Engine) -> None:
    """The kernel follows none in a mount that nobody holds open any more."""
    text = (
        f"{FROM}RUN mkdir -p /a/b && echo x > /a/f && ln -s ../f /a/b/up && ln -s .. /a/b/back\n"
        "FROM busybox\nCOPY --from=0 /a/b/up /a/b/back/f /c/\n"
    )
    answer = build(engine, text)
    assert answer.error is None, answer.error
    assert shown(engine, answer.image, "cat", "/c/up", "/c/f") == "x\nx\n"


def test_parameters_reach_the_build(engine: Engine) -> None:
    text = (
        f"{FROM}ARG A\nARG B=b\nRUN echo $A$B > /args; cat /etc/hosts > /seen; ulimit -n >> /seen; "
        "df -k /dev/shm >> /seen\nFROM busybox AS last\nRUN false\n"
    )
    answer = build(
        engine,
        text,
        buildargs='{"A":"a","B":null}',
        labels='{"l":"m","empty":null}',
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
    assert inspected["Config"]["Labels"] == {"l": "m", "empty": ""}
    assert "Removing intermediate" not in answer.text


def test_what_failed_is_removed_when_asked(engine: Engine) -> None:
    text = f"{FROM}RUN echo begun; false\n"
    removed = [build(engine, text, forcerm=word).text.splitlines()[-1] for word in ("1", "0")]
    assert removed[0].startswith("Removing intermediate container ")
    assert removed[1] == "begun"


def test_buildkit_builds_a_body_without_a_session(engine: Engine) -> None:
    """Libraries that send an archive with `version=2` have no session, and give no number."""
    body = archive({"sub/D": f"{FROM}COPY f /f\n", "f": "from the body"})
    for query, packed in (({}, body), ({"buildid": "bodily"}, gzip.compress(body))):
        answer = post(engine, packed, version="2", dockerfile="sub/D", t="bodily:1", **query)
        assert answer.error is None, answer.error
        assert shown(engine, "bodily:1", "cat", "/f") == "from the body"
    quiet = post(engine, body, version="2", dockerfile="sub/D", q="1")
    assert quiet.messages == [{"stream": shown_id(engine, "bodily:1") + "\n"}]
    failing = archive({"Dockerfile": f"{FROM}RUN exit 3\n"})
    answer = post(engine, failing, version="2", q="1")
    assert (answer.messages[0]["id"], answer.error is None) == ("moby.buildkit.trace", False)
    answer = post(engine, body, version="2", isolation="hyperv")
    assert answer.messages == [{"message": 'unsupported isolation: "hyperv"'}]
    assert post(engine, body[:700], version="2").messages[0]["message"] == "unexpected EOF"
    answer = post(engine, b"", version="2", remote="client-session")
    assert "no active session" in str(answer.messages)


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
    deadline = time.monotonic() + 20 * PATIENCE
    while post(engine, b"", "/build/cancel", id="mine").status != 204:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    thread.join(20 * PATIENCE)
    assert not thread.is_alive()
    last = found[0].messages[-1]
    assert (last.get("error") or last["message"]) == "context canceled"
    _wait_until_nothing_runs(engine)
    assert post(engine, b"", "/build/cancel").status == 400


def _wait_until_nothing_runs(engine: Engine) -> None:
    deadline = time.monotonic() + 20 * PATIENCE
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


def test_a_step_joins_a_containers_network(engine: Engine) -> None:
    """Its interfaces, addresses and names; the namespace stays the container's."""
    name = f"joined-{os.getpid()}"
    flags = ("--name", name, "--add-host", "far:10.9.8.7")
    engine.docker("run", "-d", *flags, "busybox", "sleep", "99")
    inside = ("readlink /proc/self/ns/net", "cat /etc/hosts", "ip -o addr show eth0")
    there = [engine.docker("exec", name, "sh", "-c", one).stdout for one in inside]
    text = FROM + "".join(f"RUN {one}\n" for one in inside)
    joined = {"networkmode": f"container:{name}", "nocache": "1"}
    told = build(engine, text, **joined).text
    for said in there:
        assert said.strip() in told
    assert engine.docker("exec", name, "sh", "-c", inside[2]).stdout == there[2]
    engine.docker("rm", "-f", name)
    gone = build(engine, text, **joined).messages[-1]["error"]
    assert gone == f"No such container: {name}"
    for wrong in ("container", "container:"):
        assert build(engine, text, networkmode=wrong).status == 400
