"""Options of builds, by docker buildx and by our own command."""

from __future__ import annotations

import contextlib
import json
import os
import tarfile
from pathlib import Path

import pytest
from tests.support.corpus import Door, reused
from tests.support.engine import Engine

pytestmark = pytest.mark.docker_cli


@pytest.fixture(params=["buildx", "boxship"])
def door(engine: Engine, request: pytest.FixtureRequest) -> Door:
    return Door(str(request.param), engine.host, engine.root / "config")


def write(folder: Path, dockerfile: str, **files: str) -> Path:
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_some_stages_are_made_anew(door: Door, tmp_path: Path) -> None:
    write(
        tmp_path / "context",
        f"FROM busybox:latest AS one\nRUN echo {door.kind} > /one\n"
        "FROM busybox:latest AS two\nRUN cat /proc/sys/kernel/random/uuid > /two\n"
        "FROM scratch\nCOPY --from=one /one /\nCOPY --from=two /two /\n",
    )
    door.build("-o", "first", "context", cwd=tmp_path)
    told = door.build("--no-cache-filter", "two", "-o", "second", "context", cwd=tmp_path)
    assert (tmp_path / "first/two").read_text() != (tmp_path / "second/two").read_text()
    found = reused(told)
    assert found[f"RUN echo {door.kind} > /one"] == [True]
    assert found["RUN cat /proc/sys/kernel/random/uuid > /two"] == [False]


def test_contexts_are_folders_images_and_layouts(
    engine: Engine, door: Door, tmp_path: Path
) -> None:
    write(tmp_path / "other", "", file="of a folder")
    write(tmp_path / "inner", "FROM busybox:latest\nRUN echo of a layout > /file\n")
    door.build("-o", "type=oci,dest=layout.tar", "inner", cwd=tmp_path)
    with tarfile.open(tmp_path / "layout.tar") as archive:
        archive.extractall(tmp_path / "layout")
    write(tmp_path / "tagged", "FROM busybox:latest\nRUN echo of an image > /file\n")
    tag = f"options-context-{door.kind}:1"
    door.build("-t", tag, "tagged", cwd=tmp_path)
    index = json.loads((tmp_path / "layout/index.json").read_text())
    digest = index["manifests"][0]["digest"]
    write(
        tmp_path / "context",
        "FROM replaced AS base\nFROM scratch\nCOPY --from=folder file /folder\n"
        "COPY --from=image /file /image\nCOPY --from=layout /file /layout\n"
        "COPY --from=base /file /base\n",
    )
    door.build(
        "--build-context", "folder=other",
        "--build-context", f"image=docker-image://{tag}",
        "--build-context", f"replaced=docker-image://{tag}",
        "--build-context", f"layout=oci-layout://layout@{digest}",
        "-o", "out", "context", cwd=tmp_path,
    )  # fmt: skip
    found = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert found == {
        "folder": "of a folder",
        "image": "of an image\n",
        "base": "of an image\n",
        "layout": "of a layout\n",
    }
    engine.docker("image", "rm", tag)


def test_each_folder_says_itself_what_is_left_out(door: Door, tmp_path: Path) -> None:
    text = "FROM scratch\nCOPY a* b* /\nCOPY --from=folder . /folder/\n"
    (tmp_path / "context/build").mkdir(parents=True)
    (tmp_path / "context/build/My.Dockerfile").write_text(text)
    (tmp_path / "context/build/My.Dockerfile.dockerignore").write_text("b*\n")  # this one counts
    (tmp_path / "context/.dockerignore").write_text("a*\n")
    for name in ("a", "b"):
        (tmp_path / "context" / name).write_text(name)
    (tmp_path / "other/deep").mkdir(parents=True)
    (tmp_path / "other/.dockerignore").write_text("**/*.log\n!kept.log\n")
    for name in ("x", "x.log", "kept.log", "deep/y.log", "deep/y"):
        (tmp_path / "other" / name).write_text(name)
    door.build(
        "--build-context", "folder=other", "-f", "context/build/My.Dockerfile",
        "-o", "out", "context", cwd=tmp_path,
    )  # fmt: skip
    found = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*")}
    within = {"folder/.dockerignore", "folder/x", "folder/kept.log", "folder/deep"}
    assert found == {"a", "folder", *within, "folder/deep/y"}


def test_secrets_are_of_files_and_of_the_environment(door: Door, tmp_path: Path) -> None:
    write(
        tmp_path / "context",
        "FROM busybox:latest AS run\n"
        "RUN --mount=type=secret,id=file,target=/etc/token,mode=0440,uid=3"
        " cat /etc/token > /out && stat -c '%a %u' /etc/token >> /out\n"
        "RUN --mount=type=secret,id=variable,env=WORD echo $WORD >> /out\n"
        "RUN --mount=type=secret,id=plain cat /run/secrets/plain >> /out\n"
        "RUN --mount=type=secret,id=none test ! -e /run/secrets/none\n"
        "FROM scratch\nCOPY --from=run /out /\n",
    )
    (tmp_path / "token").write_text(f"in a file of {door.kind}\n")
    door.build(
        "--secret", "id=file,src=token", "--secret", "id=variable,env=VALUE",
        "--secret", "type=env,id=plain,env=PLAIN",
        "--no-cache", "-o", "out", "context", cwd=tmp_path,
        environment={"VALUE": f"in {door.kind}'s environment", "PLAIN": "there too\n"},
    )  # fmt: skip
    assert (tmp_path / "out/out").read_text() == (
        f"in a file of {door.kind}\n440 3\nin {door.kind}'s environment\nthere too\n"
    )


def test_a_secret_that_is_required_must_be_given(door: Door, tmp_path: Path) -> None:
    text = "FROM busybox:latest\nRUN --mount=type=secret,id=token,required=true true\n"
    write(tmp_path / "context", text)
    done = door.run("context", cwd=tmp_path)
    assert done.returncode == 1
    assert b"token: not found" in done.stderr


def test_labels_and_names(engine: Engine, door: Door, tmp_path: Path) -> None:
    write(tmp_path / "context", "FROM busybox:latest\nLABEL a=file b=file\n")
    tags = [f"options-{door.kind}:1", f"options-{door.kind}:2"]
    door.build(
        "--label", "b=flag", "--label", "c=x=y", "--label", "d", "-t", tags[0], "-t", tags[1],
        "context", cwd=tmp_path,
    )  # fmt: skip
    with contextlib.closing(engine.api()) as api:
        found = [api.images.get(tag) for tag in tags]
        assert found[0].id == found[1].id
        assert found[0].labels == {"a": "file", "b": "flag", "c": "x=y", "d": ""}
        for tag in tags:
            api.images.remove(tag)


def foreign() -> str:
    """Return a platform that this machine has no programs for, nor an emulator."""
    for name, machine in (("s390x", "s390x"), ("ppc64le", "ppc64le"), ("riscv64", "riscv64")):
        if os.uname().machine != machine and not os.path.exists(
            f"/proc/sys/fs/binfmt_misc/qemu-{machine}"
        ):
            return f"linux/{name}"
    pytest.skip("programs of all platforms run here")


def test_a_platform_that_cannot_be_run_is_said_so(door: Door, tmp_path: Path) -> None:
    platform = foreign()
    write(tmp_path / "context", "FROM scratch\nCOPY Dockerfile /bin/sh\nRUN true\n")
    done = door.run("--platform", platform, "context", cwd=tmp_path)
    assert done.returncode == 1
    assert platform.encode() in done.stderr
    assert b"binfmt" in done.stderr or b"emulat" in done.stderr, done.stderr


def test_platforms_that_nothing_is_run_for_are_built(door: Door, tmp_path: Path) -> None:
    other = foreign()
    write(
        tmp_path / "context",
        "FROM --platform=$BUILDPLATFORM busybox:latest AS cross\nARG TARGETPLATFORM TARGETARCH\n"
        "RUN echo $TARGETPLATFORM > /for\nFROM scratch\nCOPY --from=cross /for /\n",
    )
    door.build(
        "--platform", f"linux/amd64,{other}", "-o", "type=oci,dest=out.tar", "context", cwd=tmp_path
    )
    with tarfile.open(tmp_path / "out.tar") as archive:
        files = {m.name: archive.extractfile(m) for m in archive if m.isreg()}
        contents = {name: file.read() for name, file in files.items() if file}
    top = json.loads(contents["index.json"])["manifests"][0]["digest"]
    index = json.loads(contents[f"blobs/sha256/{top[7:]}"])
    platforms = {f"{m['platform']['os']}/{m['platform']['architecture']}": m for m in
                 index["manifests"]}  # fmt: skip
    assert set(platforms) == {"linux/amd64", other}
    door.build("--platform", f"linux/amd64,{other}", "-o", "out", "context", cwd=tmp_path)
    for platform in platforms:
        text = (tmp_path / "out" / platform.replace("/", "_") / "for").read_text()
        assert text == f"{platform}\n"


def test_progress_is_plain_raw_or_nothing(door: Door, tmp_path: Path) -> None:
    write(tmp_path / "context", f"FROM busybox:latest\nRUN echo printed by {door.kind}\n")
    plain = door.run("--no-cache", "--progress", "plain", "context", cwd=tmp_path)
    assert f" printed by {door.kind}\n".encode() in plain.stderr
    assert b"[2/2] RUN echo printed by" in plain.stderr
    quiet = door.run("--no-cache", "--progress", "quiet", "context", cwd=tmp_path)
    assert (quiet.returncode, quiet.stderr) == (0, b"")
    assert quiet.stdout == b"" or quiet.stdout.startswith(b"sha256:")
    short = door.run("-q", "context", cwd=tmp_path)
    assert (short.returncode, short.stderr) == (0, b"")
    assert short.stdout.startswith(b"sha256:")
    raw = door.run("--no-cache", "--progress", "rawjson", "context", cwd=tmp_path)
    if door.kind == "buildx" and b"invalid progress mode" in raw.stderr:
        pytest.skip("this docker buildx does not print raw messages")
    said = documents(raw.stderr.decode())
    names = {v["name"] for one in said for v in one.get("vertexes") or []}
    assert any(name.startswith("[2/2] RUN echo printed by") for name in names)
    assert any(one.get("logs") for one in said)


def documents(text: str) -> list[dict[str, list[dict[str, str]]]]:
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:]
    return found


def test_provenance_has_the_dockerfile_only_when_asked(door: Door, tmp_path: Path) -> None:
    """Values of arguments are left out of the short form, and the source."""
    write(tmp_path / "context", "FROM busybox:latest\nARG WORD\nRUN true\n")
    for mode in ("min", "max"):
        door.build(
            "--provenance", f"mode={mode}", "--build-arg", "WORD=told",
            "-o", f"type=oci,dest={mode}.tar", "context", cwd=tmp_path,
        )  # fmt: skip
    said = {}
    for mode in ("min", "max"):
        with tarfile.open(tmp_path / f"{mode}.tar") as archive:
            contents = [archive.extractfile(m) for m in archive if m.isreg()]
            texts = [file.read() for file in contents if file is not None]
        (said[mode],) = (
            text for text in texts if b"slsa.dev/provenance" in text and b"_type" in text
        )
    assert b"told" not in said["min"]
    assert b"told" in said["max"]
    assert b"Dockerfile" in said["max"]
