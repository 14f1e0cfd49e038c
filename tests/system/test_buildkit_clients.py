"""Builds by real clients that speak BuildKit, and by our own: one story for each door.

session   the docker command of Debian 12: /session and /build?version=2
grpc      docker buildx: /grpc, driven through the bridge
boxship   our own command: /session and /grpc, without the bridge
"""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.engine import CHECKOUT, PATIENCE, Engine, docker_command, link_plugins

DOORS = ("session", "grpc", "boxship")
Finished = subprocess.CompletedProcess[bytes]
Build = Callable[..., Finished]


def command(engine: Engine, door: str) -> list[str]:
    match door:
        case "session":
            program = docker_command("docker-20.10")
            return [program, "-H", engine.host, "build"]
        case "grpc":
            if not link_plugins(engine.root / "config"):
                pytest.skip("docker buildx is neither installed nor could it be fetched")
            return [docker_command(), "-H", engine.host, "buildx", "build"]
    launcher = str(CHECKOUT / "src/boxship/cli/launch.py")
    return [sys.executable, "-I", "-S", launcher, "-H", engine.host, "build"]


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def build(engine: Engine, door: str, tmp_path: Path) -> Build:
    words = command(engine, door)
    environment = {
        **os.environ,
        "DOCKER_CONFIG": f"{engine.root}/config",
        "DOCKER_BUILDKIT": "1",
        "BUILDKIT_PROGRESS": "plain",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }

    def run(
        *more: str, check: bool = True, **options: object
    ) -> subprocess.CompletedProcess[bytes]:
        options = {"stdin": subprocess.DEVNULL} if "input" not in options else options
        done: Finished = subprocess.run(  # type: ignore[call-overload]
            [*words, *more],
            capture_output=True,
            check=False,
            timeout=60 * PATIENCE,
            env=environment,
            cwd=tmp_path,
            **options,
        )
        if check and done.returncode:
            raise AssertionError(f"{more}: {done.stderr.decode()}\n{engine.tail()}")
        return done

    return run


def write(folder: Path, dockerfile: str, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_a_build_takes_files_arguments_secrets_and_names(
    engine: Engine, build: Build, door: str, tmp_path: Path
) -> None:
    context = write(
        tmp_path / "context",
        "FROM busybox:latest AS one\n"
        "ARG WORD=none\n"
        "RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /size\n"
        "RUN echo $WORD > /word\n"
        "FROM busybox:latest\n"
        "COPY --from=one /size /word /\n"
        "COPY . /src/\n"
        'LABEL by="a client"\n'
        'CMD ["cat", "/word", "/size"]\n',
        hello__txt="hello",
        secret__log="not sent",
        __dockerignore="*.log\n",
    )
    (tmp_path / "token").write_text(f"sesame-{door}")
    tag = f"client-{door}:1"
    done = build(
        "-t", tag, "--build-arg", f"WORD={door}", "--label", "door=" + door,
        "--secret", f"id=token,src={tmp_path}/token", str(context),
    )  # fmt: skip
    assert b"[one 2/3] RUN" in done.stderr
    shown = engine.docker("run", "--rm", tag).stdout
    assert shown == f"{door}\n{len(door) + 7}\n"
    files = engine.docker("run", "--rm", tag, "ls", "-A", "/src").stdout.split()
    assert files == [".dockerignore", "Dockerfile", "hello.txt"]
    (found,) = json.loads(engine.docker("image", "inspect", tag).stdout)
    assert found["Config"]["Labels"] == {"by": "a client", "door": door}
    again = build(
        "-t", tag, "--build-arg", f"WORD={door}", "--label", "door=" + door,
        "--secret", f"id=token,src={tmp_path}/token", str(context),
    )  # fmt: skip
    assert again.stderr.count(b"CACHED") >= 4


def test_a_quiet_build_says_its_image_only(
    engine: Engine, build: Build, door: str, tmp_path: Path
) -> None:
    context = write(tmp_path / "context", f"FROM busybox:latest\nRUN echo {door}\n")
    done = build("-q", "-t", f"quiet-{door}:1", "--iidfile", f"{tmp_path}/id", str(context))
    said = (done.stdout.decode().strip(), (tmp_path / "id").read_text().strip())
    assert done.stderr == b""
    for name in said:  # buildx says the configuration's digest
        shown = engine.docker("image", "inspect", "-f", "{{index .RepoTags 0}}", name).stdout
        assert shown == f"quiet-{door}:1\n"


def test_a_step_that_fails_is_shown_and_ends_the_build(build: Build, door: str) -> None:
    text = b"FROM busybox:latest\nRUN echo before the end && exit 3\n"
    done = build("-", input=text, check=False)
    assert done.returncode == 1
    assert b"before the end" in done.stderr
    assert b"did not complete successfully: exit code: 3" in done.stderr
    if door != "session":  # that client shows no lines
        assert b">>> RUN echo before the end" in done.stderr


def test_a_dockerfile_that_is_wrong_is_shown_with_its_line(build: Build, door: str) -> None:
    done = build("-", input=b"FROM busybox:latest\nRUNN true\n", check=False)
    assert done.returncode == 1
    assert b"unknown instruction: RUNN (did you mean RUN?)" in done.stderr
    if door != "session":
        assert b">>> RUNN true" in done.stderr


def test_a_context_comes_as_an_archive(engine: Engine, build: Build, door: str) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in (("Dockerfile", b"FROM busybox:latest\nCOPY x /\n"), ("x", b"in a tar")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
    tag = f"archive-{door}:1"
    build("-t", tag, "-", input=data.getvalue())
    assert engine.docker("run", "--rm", tag, "cat", "/x").stdout == "in a tar"


def test_only_what_has_changed_is_sent_and_done_again(
    engine: Engine, build: Build, door: str, tmp_path: Path
) -> None:
    context = write(
        tmp_path / "changing",
        "FROM busybox:latest\nCOPY big /\nRUN echo once\nCOPY small /\n",
        small="one",
    )
    (context / "big").write_bytes(os.urandom(3 << 20))
    tag = f"changing-{door}:1"
    build("-t", tag, str(context))
    (context / "small").write_text("other")
    done = build("-t", tag, str(context))
    assert done.stderr.count(b"CACHED") == 2  # COPY big, RUN
    assert engine.docker("run", "--rm", tag, "cat", "/small").stdout == "other"


def test_results_go_to_folders_and_archives(build: Build, tmp_path: Path) -> None:
    context = write(
        tmp_path / "out",
        "FROM busybox:latest AS one\nRUN mkdir -p /d && echo made > /d/f && ln -s f /d/l\n"
        "FROM scratch\nCOPY --from=one /d /d\nCOPY a__txt /\n".replace("__", "."),
        a__txt="a",
    )
    target = tmp_path / "target"
    build("-o", f"type=local,dest={target}", str(context))
    assert (target / "d/f").read_text() == "made\n"
    assert os.readlink(target / "d/l") == "f"
    build("-o", f"type=tar,dest={tmp_path}/out.tar", str(context))
    with tarfile.open(tmp_path / "out.tar") as archive:
        names = {name.rstrip("/") for name in archive.getnames()}
    assert {"a.txt", "d", "d/f", "d/l"} <= names
    shutil.rmtree(target)


def test_an_agent_is_offered_to_a_build(build: Build, tmp_path: Path) -> None:
    path = f"{tmp_path}/agent"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        text = "FROM busybox:latest\nRUN --mount=type=ssh test -S $SSH_AUTH_SOCK\n"
        context = write(tmp_path / "ssh", text)
        build("--ssh", f"default={path}", "--no-cache", str(context))


def test_a_client_that_leaves_ends_its_build(engine: Engine, door: str, tmp_path: Path) -> None:
    seconds = f"3{os.getpid()}.{len(door)}"  # other tests sleep, too
    text = f"FROM busybox:latest\nRUN echo begun; sleep {seconds}\n"
    context = write(tmp_path / "long", text)
    environment = {
        **os.environ,
        "DOCKER_CONFIG": f"{engine.root}/config",
        "DOCKER_BUILDKIT": "1",
        "BUILDKIT_PROGRESS": "plain",
    }
    client = subprocess.Popen(
        [*command(engine, door), "--no-cache", str(context)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        env=environment,
    )
    assert client.stderr is not None
    for line in client.stderr:
        if b"begun" in line and b"RUN" not in line:
            break
    begun = wait_for(lambda: bool(sleeping(seconds)))  # it says so a moment before
    client.kill()
    client.wait()
    client.stderr.close()
    assert begun
    assert wait_for(lambda: not sleeping(seconds))


def wait_for(true: Callable[[], bool]) -> bool:
    """Whether something came to be within thirty seconds."""
    for _ in range(int(600 * PATIENCE)):
        if true():
            return True
        time.sleep(0.05)
    return False


def sleeping(seconds: str) -> list[str]:
    """Return the processes of builds that sleep for this test."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                if file.read() == f"sleep\0{seconds}\0".encode():
                    found.append(entry)
        except OSError:
            continue
    return found


BAKE = """
variable "WORD" { default = "unset" }
group "default" { targets = ["one", "two"] }
target "one" {
  context = "first"
  tags    = ["bake-%(door)s:one"]
  args    = { WORD = "${WORD}" }
}
target "two" {
  context  = "second"
  contexts = { below = "target:one" }
  tags     = ["bake-%(door)s:two"]
}
"""


@pytest.mark.parametrize("door", ["grpc", "boxship"])
def test_a_bake_file_builds_targets_that_stand_on_each_other(
    engine: Engine, door: str, tmp_path: Path
) -> None:
    """Each target's files come from its own folder, whichever client asks for both."""
    first = "FROM busybox:latest\nARG WORD\nENV KEPT=$WORD\nCOPY f /first\n"
    write(tmp_path / "first", first, f="of the first")
    write(tmp_path / "second", "FROM below\nCOPY f /second\nRUN echo $KEPT > /k\n", f="second")
    (tmp_path / "docker-bake.hcl").write_text(BAKE % {"door": door})
    *words, _ = command(engine, door)
    words += ["bake"] if door == "grpc" else ["buildx", "bake"]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60 * PATIENCE,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "DOCKER_CONFIG": f"{engine.root}/config", "WORD": f"word-{door}"},
    )
    assert done.returncode == 0, f"{done.stderr.decode()}\n{engine.tail()}"
    for tag, files in (("one", "/first"), ("two", "/first /second /k")):
        shown = engine.docker("run", "--rm", f"bake-{door}:{tag}", "cat", *files.split()).stdout
        wanted = {"one": "of the first", "two": f"of the firstsecondword-{door}\n"}
        assert shown == wanted[tag]


def test_a_dockerfile_is_checked_without_a_build(engine: Engine, tmp_path: Path) -> None:
    context = write(
        tmp_path / "checked", "FROM busybox:latest as x\nARG A=1\nMAINTAINER me\nRUN false\n"
    )
    before = engine.docker("images", "-aq").stdout
    done = engine.boxship("build", "--check", str(context), check=False)
    assert done.returncode == 1
    assert "FromAsCasing" in done.stdout
    assert "MaintainerDeprecated" in done.stdout
    shown = engine.boxship("build", "--call", "targets", str(context)).stdout
    assert "x (default)" in shown
    if link_plugins(engine.root / "config"):
        for name, said in (
            ("lint", "MaintainerDeprecated"),
            ("targets", "x (default)"),
            ("outline", "TARGET: x\n\nBUILD ARG   VALUE"),
            ("subrequests.describe", "List all parameters"),
        ):
            asked = subprocess.run(
                [*command(engine, "grpc"), f"--print={name}", str(context)],
                capture_output=True,
                text=True,
                check=False,
                timeout=60 * PATIENCE,
                env={
                    **os.environ,
                    "DOCKER_CONFIG": f"{engine.root}/config",
                    "BUILDX_EXPERIMENTAL": "1",
                },
            )
            assert said in asked.stdout, asked.stderr
    assert engine.docker("images", "-aq").stdout == before


def test_the_cache_and_the_past_are_shown_and_cleared(engine: Engine, tmp_path: Path) -> None:
    context = write(tmp_path / "past", "FROM busybox:latest\nRUN echo of the past\n")
    digest = engine.boxship("build", "-q", "--no-cache", str(context)).stdout.strip()
    assert digest.startswith("sha256:")
    listed = engine.boxship("buildx", "history", "ls").stdout.splitlines()
    assert "Completed" in listed[1]
    ref = listed[1].split()[0]
    assert digest in engine.boxship("buildx", "history", "inspect", ref).stdout
    assert "of the past" in engine.boxship("buildx", "history", "logs", ref).stdout
    engine.boxship("buildx", "history", "rm", ref)
    assert ref not in engine.boxship("buildx", "history", "ls").stdout
    assert "RECLAIMABLE" in engine.boxship("buildx", "du").stdout
    assert "Total:" in engine.boxship("builder", "prune", "-f", "--filter", "type=internal").stdout
    assert "linux/" in engine.boxship("buildx", "inspect").stdout
