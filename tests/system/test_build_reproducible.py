"""The same input gives the same bytes: with SOURCE_DATE_EPOCH, on any engine, by any client."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.doors import DOORS, MODERN, build
from tests.support.engine import SPREAD, Engine, engine_number, private_engine
from tests.support.gitrepo import Repository
from tests.support.websites import Asked, Page, repositories, site

EPOCH = 1700000000
COMMITTED = 1600000000  # when tests/support/gitrepo.py commits
MODIFIED, MODIFIED_AT = "Mon, 01 Jan 2024 00:00:00 GMT", 1704067200
TEXT = """
FROM scratch AS base
COPY --chmod=755 tool /bin/
FROM busybox:latest
COPY a b /files/
RUN mkdir /made && date +%s%N > /dev/null && echo x > /made/x && ln -s x /made/l
RUN --mount=type=cache,target=/c echo y > /made/y
COPY --from=base --link /bin/tool /bin/tool
WORKDIR /srv/deep
"""


@pytest.fixture(scope="module")
def other() -> Iterator[Engine]:
    with private_engine(engine_number() + SPREAD) as made:
        made.boxship("image", "bootstrap", "busybox")
        yield made


def context(folder: Path) -> Path:
    """Lay the same context out anew: its files are of other times each time."""
    folder.mkdir()
    for name in ("a", "b", "tool"):
        (folder / name).write_text(name)
        os.utime(folder / name, (time.time() + 100, time.time() + 100))
    (folder / "Dockerfile").write_text(TEXT)
    return folder


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def times(archive: bytes) -> set[int]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return {int(member.mtime) for member in opened}


@pytest.mark.docker_cli
@pytest.mark.parametrize(
    ("door", "kind"),
    [("buildx", "oci"), ("boxship", "docker"), ("boxship", "tar"), ("boxship", "oci")],
)
def test_two_engines_write_the_same_bytes(
    engine: Engine, other: Engine, tmp_path: Path, door: str, kind: str
) -> None:
    made = []
    for number, where in enumerate((engine, other)):
        out = tmp_path / f"{number}.tar"
        build(
            where, door, "--no-cache", "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}",
            "-o", f"type={kind},dest={out},rewrite-timestamp=true",
            str(context(tmp_path / str(number))),
        )  # fmt: skip
        made.append(digest(out))
    assert made[0] == made[1]


def config_of(path: Path) -> tuple[dict[str, object], set[int]]:
    """Return the configuration of an image in an OCI archive, and the times in its own layers."""
    with tarfile.open(path) as archive:

        def blob(name: str) -> bytes:
            found = archive.extractfile(f"blobs/sha256/{name.removeprefix('sha256:')}")
            assert found is not None
            return found.read()

        index = archive.extractfile("index.json")
        assert index is not None
        manifest = json.loads(blob(json.load(index)["manifests"][0]["digest"]))
        config = json.loads(blob(manifest["config"]["digest"]))
        found = {at for one in manifest["layers"] for at in times(_plain(blob(one["digest"])))}
    return config, found


def _plain(data: bytes) -> bytes:
    import gzip

    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def archive(dockerfile: str, newest: int) -> bytes:
    """A context in an archive whose files are of this time, and older."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as packing:
        for number, (name, text) in enumerate({"Dockerfile": dockerfile, "other": "x"}.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(text), newest - number
            packing.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@pytest.mark.docker_cli
def test_all_doors_make_the_same_image(engine: Engine, tmp_path: Path) -> None:
    """The classic builder's has the same layers, and a history in its own words."""
    made = {}
    for door in DOORS:
        text = TEXT.replace("RUN --mount=type=cache,target=/c ", "RUN ")
        folder = context(tmp_path / door)
        (folder / "Dockerfile").write_text(text)
        build(
            engine, door, "--no-cache", "--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}",
            "-t", f"reproduced-{door}", str(folder),
        )  # fmt: skip
        said = json.loads(engine.docker("image", "inspect", f"reproduced-{door}").stdout)[0]
        engine.docker("image", "rm", f"reproduced-{door}")
        made[door] = said["Id"], tuple(said["RootFS"]["Layers"])
    assert len({layers for _, layers in made.values()}) == 1
    assert len({id for door, (id, _) in made.items() if door != "classic"}) == 1


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", MODERN)
def test_the_time_comes_from_where_it_is_said(engine: Engine, tmp_path: Path, door: str) -> None:
    """From the Dockerfile, the environment, an export's own field, or a context of the web."""
    text = "FROM scratch\nCOPY <<E /f\nx\nE\n"
    Repository.new(tmp_path / "r.git").commit(Dockerfile=text)
    serve, packed = repositories(tmp_path), archive(text, MODIFIED_AT)

    def answer(asked: Asked) -> Page:
        if asked.path == "/old.tar":
            return Page(packed)
        if asked.path == "/Dockerfile":
            return Page(text.encode(), headers={"Last-Modified": MODIFIED})
        return serve(asked)

    of_context = ("--build-arg", "SOURCE_DATE_EPOCH=context")
    with site(answer) as web:
        for number, (dockerfile, words, env, export, at) in enumerate(
            (
                (f"ARG SOURCE_DATE_EPOCH={EPOCH}\n{text}", (), {}, "", EPOCH),
                (
                    f"ARG SOURCE_DATE_EPOCH=1\n{text}",
                    ("--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}"), {}, "", EPOCH,
                ),
                (text, (), {"SOURCE_DATE_EPOCH": str(EPOCH)}, "", EPOCH),
                (text, (), {}, f",source-date-epoch={EPOCH}", EPOCH),
                (None, (*of_context, f"{web.url}/r.git"), {}, "", COMMITTED),
                (None, (*of_context, f"{web.url}/Dockerfile"), {}, "", MODIFIED_AT),
                (None, (*of_context, f"{web.url}/old.tar"), {}, "", MODIFIED_AT),
            )
        ):  # fmt: skip
            out = tmp_path / f"{number}.tar"
            build(
                engine, door, "-o", f"type=oci,dest={out}{export}", *words,
                text=dockerfile, env=env,
            )  # fmt: skip
            config, found = config_of(out)
            assert config["created"] == moment(at), (number, config)
            assert {one["created"] for one in config["history"]} == {moment(at)}  # type: ignore[attr-defined]
            assert found == {at}
    out = tmp_path / "folder"
    words = ("--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", "-o", f"type=local,dest={out}")
    build(engine, door, *words, text=text)
    assert (out / "f").stat().st_mtime == EPOCH
    now = time.time()
    out = tmp_path / "now.tar"
    build(engine, door, *of_context, "--no-cache", "-o", f"type=oci,dest={out}", text=text)
    config, _ = config_of(out)
    assert str(config["created"])[:19] >= moment(int(now))[:19]  # a folder has no time of its own


SOURCES = """
FROM scratch AS one
ADD {url}/r.git#main /git/
ADD {url}/file /web/
FROM scratch AS two
COPY --from=one / /one/
COPY a /a
WORKDIR /srv/deep
"""
NAMED = """
COPY <<E /here
x
E
FROM busybox:latest
COPY --from=two / /
COPY --from=folder b /b
COPY --from=repo f /f
RUN echo x > /made
"""


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", DOORS)
def test_sources_stages_and_contexts_come_to_the_same_image(
    engine: Engine, other: Engine, tmp_path: Path, door: str
) -> None:
    """A repository is checked out and a page fetched at another time each time."""
    folder, tag = context(tmp_path / "c"), f"same-{door}"
    Repository.new(tmp_path / "r.git").commit(f="of the repository")
    serve = repositories(tmp_path)
    words = ["--build-arg", f"SOURCE_DATE_EPOCH={EPOCH}", "--no-cache", "-t", tag]
    made = []
    with site(lambda asked: Page(b"x") if asked.path == "/file" else serve(asked)) as web:
        text = SOURCES.format(url=web.url)
        if door in MODERN:
            text += NAMED
            words += ["--build-context", f"folder={folder}"]
            words += ["--build-context", f"repo={web.url}/r.git"]
            words += ["-o", f"type=image,rewrite-timestamp=true,name={tag}"]
        (folder / "Dockerfile").write_text(text)
        for where in (engine, other):
            build(where, door, *words, str(folder))
            made.append(where.boxship("inspect", tag, "-f", "{{.Id}} {{.RootFS.Layers}}").stdout)
    assert made[0] == made[1]
