"""`boxship build`: what its flags come to in the image, and what it prints."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support import doors
from tests.support.engine import BOXSHIP, PATIENCE, Engine, docker_command, link_plugins
from tests.support.waiting import wait_until

Finished = subprocess.CompletedProcess[str]
Build = Callable[..., Finished]


@pytest.fixture
def build(engine: Engine, tmp_path: Path) -> Build:
    """Run `boxship build`, with an environment of its own."""

    def run(*words: str, check: bool = True, input: str = "", **environment: str) -> Finished:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment}
        return engine.boxship("build", *words, check=check, cwd=tmp_path, env=env, input=input)

    return run


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "ctx"
    folder.mkdir()
    return folder


def label(engine: Engine, image: str, name: str) -> str:
    shape = f'{{{{index .Config.Labels "{name}"}}}}'
    return engine.docker("image", "inspect", "-f", shape, image).stdout.strip()


SEEN = """
FROM busybox:latest AS seen
ARG GIVEN
ARG FROM_ENV
ARG HTTP_PROXY
ARG SOURCE_DATE_EPOCH
RUN { grep -c 10.1.2.3 /etc/hosts; ulimit -n; df -k /dev/shm | tail -1 | awk '{print $2}'; \\
      echo "$GIVEN $FROM_ENV $HTTP_PROXY $http_proxy $SOURCE_DATE_EPOCH"; \\
      ls /sys/class/net; } > /seen
FROM busybox:latest
RUN exit 9
"""


def test_a_step_sees_what_the_flags_say(
    engine: Engine, build: Build, context: Path, tmp_path: Path
) -> None:
    (context / "Dockerfile").write_text(SEEN)
    (tmp_path / ".docker").mkdir()
    proxies = {"proxies": {"default": {"httpProxy": "http://proxy:1"}}}
    (tmp_path / ".docker/config.json").write_text(json.dumps(proxies))
    build(
        "--target", "seen", "-t", "flags:one", "-t", "flags:two", "--label", "x=y",
        "--build-arg", "GIVEN=given", "--build-arg", "FROM_ENV", "--add-host", "h:10.1.2.3",
        "--shm-size", "5m", "--ulimit", "nofile=77:88", "--network", "none", "--no-cache",
        "--iidfile", "iid", "--metadata-file", "meta.json", "ctx",
        FROM_ENV="env", SOURCE_DATE_EPOCH="1600000000", BUILDX_METADATA_PROVENANCE="max",
    )  # fmt: skip
    shown = engine.docker("run", "--rm", "--network", "none", "flags:one", "cat", "/seen").stdout
    assert shown.split() == [
        "1", "77", "5120", "given", "env", "http://proxy:1", "http://proxy:1", "1600000000", "lo",
    ]  # fmt: skip
    assert label(engine, "flags:two", "x") == "y"
    created = engine.docker("image", "inspect", "-f", "{{.Created}}", "flags:one").stdout
    assert created.startswith("2020-09-13T12:26:40")
    id = engine.docker("image", "inspect", "-f", "{{.Id}}", "flags:one").stdout.strip()
    assert (tmp_path / "iid").read_text() == id
    said = json.loads((tmp_path / "meta.json").read_text())
    assert said["containerimage.digest"] == id
    assert said["image.name"].startswith("docker.io/library/flags:one")
    assert said["buildx.build.ref"].startswith("default/default/")


def test_annotations_go_where_their_types_say(build: Build, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    build(
        "-o", "type=oci,dest=out.tar", "--provenance=true", "--annotation", "plain=1",
        "--annotation", "index,manifest:both=2", "--annotation", "manifest-descriptor:d=3",
        "ctx",
    )  # fmt: skip
    with tarfile.open(tmp_path / "out.tar") as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar if one.isfile()}  # type: ignore[union-attr]

    def blob(digest: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(files[f"blobs/{digest.replace(':', '/')}"])
        return found

    top = json.loads(files["index.json"])["manifests"][0]
    index = blob(top["digest"])
    assert index["annotations"] == {"both": "2"}
    pointer, _ = index["manifests"]  # type: ignore[misc]
    assert pointer["annotations"]["d"] == "3"  # type: ignore[index]
    assert blob(pointer["digest"])["annotations"] == {"plain": "1", "both": "2"}  # type: ignore[index]


SECRET = """
FROM busybox:latest
ARG N
RUN --mount=type=secret,id=one,target=/s test "$(cat /s 2>/dev/null)" = "%s"
"""


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("id=one,src=file", "from the file"),
        ("id=one,source=file,type=file", "from the file"),
        ("id=one,env=TOKEN", "from the environment"),
        ("id=one,type=env", "its own name"),
        ("type=env,id=one,src=TOKEN", "from the environment"),
        ("id=one,env=UNSET", ""),
    ],
)
def test_secrets_come_from_files_and_the_environment(
    build: Build, context: Path, tmp_path: Path, flag: str, expected: str
) -> None:
    (tmp_path / "file").write_text("from the file")
    (context / "Dockerfile").write_text(SECRET % expected)
    build("--secret", flag, "--build-arg", f"N={flag}", "ctx",
          TOKEN="from the environment", one="its own name")  # fmt: skip


def test_a_layer_that_is_made_twice_is_kept_once(
    engine: Engine, build: Build, context: Path, tmp_path: Path
) -> None:
    """Steps that differ, and change nothing: their layers have one name once they are packed."""
    (tmp_path / "file").write_text("x")
    (context / "Dockerfile").write_text(SECRET % "x")
    wait_until(lambda: is_clean(engine))  # what other tests have left goes a moment later
    for number in range(3):
        build("--secret", "id=one,src=file", "--build-arg", f"N=twice {number}", "ctx")
    wait_until(lambda: is_clean(engine))


def is_clean(engine: Engine) -> bool:
    """Whether the engine has nothing that nothing needs."""
    return engine.boxship("system", "check", check=False).stdout.strip() == "clean"


def test_stages_that_are_named_are_done_again(build: Build, context: Path) -> None:
    (context / "Dockerfile").write_text(
        "FROM busybox:latest AS one\nRUN cat /proc/sys/kernel/random/uuid > /one\n"
        "FROM busybox:latest AS two\nRUN cat /proc/sys/kernel/random/uuid > /two\n"
        "FROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n"
    )

    def built(*flags: str) -> list[str]:
        out = context.parent / f"out{len(list(context.parent.iterdir()))}"
        build(*flags, "-o", str(out), "ctx")
        return [(out / name).read_text() for name in ("one", "two")]

    first = built()
    assert built() == first
    again = built("--no-cache-filter", "two")
    assert again[0] == first[0]
    assert again[1] != first[1]


CALLED = """# the base
ARG BASE=busybox:latest
FROM $BASE AS lower
# what it is for
ARG WORD=default
from $BASE AS upper
COPY --from=lower /etc/passwd /
"""


def test_a_dockerfile_is_asked_about(build: Build, context: Path) -> None:
    (context / "Dockerfile").write_text(CALLED)
    targets = build("--call", "targets", "ctx").stdout
    assert re.search(r"^lower\b", targets, re.MULTILINE)
    assert "upper (default)" in targets
    found = json.loads(build("--call=targets,format=json", "ctx").stdout)
    assert [one["name"] for one in found["targets"]] == ["lower", "upper"]
    outline = build("--call", "outline", "--target", "lower", "ctx").stdout
    assert re.search(r"WORD\s+default", outline)
    checked = build("--check", "ctx", check=False)
    assert checked.returncode == 1
    assert "ConsistentInstructionCasing" in checked.stdout
    lenient = build("--call=check,ignorestatus=true,format=json", "ctx")
    rules = {one["ruleName"] for one in json.loads(lenient.stdout)["warnings"]}
    assert rules == {"ConsistentInstructionCasing", "FromAsCasing"}
    assert build("--print", "targets", "ctx").stdout == targets


WARNED = "from busybox:latest as x\nMAINTAINER me\nRUN echo shown\n"


def test_progress_comes_in_the_form_that_is_asked_for(build: Build, context: Path) -> None:
    (context / "Dockerfile").write_text(WARNED)
    plain = build("--progress", "plain", "--no-cache", "ctx").stderr
    assert plain.startswith('#0 building with "default" instance using docker driver\n\n#1 [')
    assert re.search(r"^#\d+ \d\.\d{3} shown$", plain, re.MULTILINE)
    assert plain.endswith(
        "\n\n 2 warnings found (use --debug to expand):\n"
        " - MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label "
        "(line 2)\n - ConsistentInstructionCasing: Command 'from' should match the case of the "
        "command majority (uppercase) (line 1)\n"
    )
    told = build("-D", "ctx").stderr
    assert "More info: https://docs.docker.com/go/dockerfile/rule/maintainer-deprecated/" in told
    assert "   2 | >>> MAINTAINER me" in told
    messages = [
        json.loads(line) for line in build("ctx", BUILDKIT_PROGRESS="rawjson").stderr.splitlines()
    ]
    names = {one["name"] for message in messages for one in message.get("vertexes", ())}
    assert "exporting to image" in names
    for silent in (["--progress", "none"], ["--progress", "quiet"], ["-q"]):
        assert build(*silent, "ctx").stderr == ""
    assert build("-q", "ctx").stdout.startswith("sha256:")


def test_a_failed_step_is_told_as_buildx_tells_it(
    engine: Engine, build: Build, context: Path, tmp_path: Path
) -> None:
    """Line for line, but for numbers of seconds and bytes."""
    text = "FROM busybox:latest\nRUN echo first; echo second; exit 3\nRUN true\n"
    (context / "Dockerfile").write_text(text)

    def told(done: Finished) -> list[str]:
        assert done.returncode == 1
        return (
            re.sub(r"\b\d+\.\d+(s?)\b", r"N\1", done.stderr)
            .replace(" Ns done", " done")
            .split("\n")
        )

    ours = told(build("--no-cache", "ctx", check=False))
    assert ours[-2].startswith('ERROR: failed to solve: process "/bin/sh -c echo first')
    assert ours[-2].endswith("did not complete successfully: exit code: 3")
    if not link_plugins(engine.root / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    real = subprocess.run(
        [
            docker_command(),
            "-H",
            engine.host,
            "buildx",
            "build",
            "--progress=plain",
            "--no-cache",
            "ctx",
        ],
        cwd=tmp_path,
        env={**os.environ, "DOCKER_CONFIG": f"{engine.root}/config"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=120 * PATIENCE,
    )
    assert ours == told(real)


def test_the_command_starts_without_what_builds_need(tmp_path: Path) -> None:
    """Help, completion and errors of the command line load no library."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from boxship.cli.main import main\n"
        "for words in (['build', '--help'], ['buildx', 'bake', '--help'], ['buildx', 'b', '-x']):\n"
        "    main(words)\n"
        "heavy = {'google.protobuf', 'h2', 'asyncio', 'yaml', 'boxship.lib.hcl', 'ssl'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    source = str(Path(BOXSHIP[-1]).parents[2])
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, source],
        capture_output=True, check=True, text=True, timeout=60 * PATIENCE,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_rules_for_sources_are_passed_on(build: Build, context: Path, tmp_path: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox:latest\n")
    rule = {
        "action": "DENY",
        "selector": {"identifier": "docker-image://docker.io/library/busybox*"},
    }
    (tmp_path / "policy.json").write_text(json.dumps({"version": 1, "rules": [rule]}))
    variable = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
    refused = build("ctx", check=False, **{variable: "policy.json"})
    assert refused.returncode == 1
    assert "denied by policy" in refused.stderr
    missing = build("ctx", check=False, **{variable: "nowhere.json"})
    assert "failed to read source policy file: open nowhere.json" in missing.stderr


def test_an_interrupted_build_shows_what_it_has_given_up(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN echo begun; sleep 600\n")
    client = doors.begin(engine, "boxship", str(tmp_path))
    assert client.stdout is not None
    said = b""
    while b" begun\n" not in said:
        said += client.stdout.readline()
    client.send_signal(signal.SIGINT)
    rest, _ = client.communicate(timeout=60 * PATIENCE)
    assert client.returncode == 130
    lines = rest.decode().splitlines()
    assert lines[0].endswith(" CANCELED")
    assert lines[-1] == "ERROR: failed to solve: Canceled: context canceled"
