"""Real Dockerfiles through every door: what comes of them is what dockerd makes of them.

What dockerd makes is recorded (tests/data/recorded); the longest tests record it anew and compare.
BuildKit's doors are compared with a modern BuildKit, also where the client is an older one.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support import corpus
from tests.support.corpus import Door, Outcome
from tests.support.dockerd import Dockerd, modern_dockerd, private_dockerd
from tests.support.engine import Engine

USUAL = {
    "classic": ("meta", "onbuild", "users"),
    "session": ("c", "copies", "onbuild"),
    "buildx": ("modes", "permissions", "python"),
    "boxship": ("heredocs", "node", "users"),
}
RECORD = os.environ.get("RECORD_CORPUS")  # write down what dockerd makes, instead of comparing
BITS = 0o6000


def members() -> Iterator[object]:
    for kind, usual in USUAL.items():
        for name in corpus.names_for(kind):
            marks = [] if name in usual else [pytest.mark.slow]
            yield pytest.param(kind, name, marks=marks, id=f"{kind}-{name}")


@pytest.mark.docker_cli
@pytest.mark.parametrize(("kind", "name"), list(members()))
def test_the_same_comes_of_it_as_of_dockerd(
    engine: Engine, tmp_path: Path, kind: str, name: str
) -> None:
    door = Door(kind, engine.host, engine.root / "config")
    ours = door.outcome(name, tmp_path)
    theirs = corpus.recorded("classic-20" if kind == "classic" else "buildx-26")[name]
    assert_same(comparable(ours, kind), comparable(theirs, kind))


def comparable(outcome: Outcome, kind: str) -> Outcome:
    """Leave out where we differ on purpose.

    The classic builder ran stages that nothing needs, lost the bits of programs that run as their
    owner, and kept no folder's time; we do in its name what BuildKit does. A linked copy is found
    again here whatever it stands on.
    """
    again = {k: v for k, v in outcome["again"].items() if "--link" not in k}
    files = outcome["tree"]
    if kind == "classic":
        again.pop("RUN echo tested", None)
        files = {path: _classic(entry) for path, entry in files.items()}
    history = [_sources(line) for line in outcome["history"]] if kind == "classic" else []
    history = history or outcome["history"]
    return {**outcome, "again": again, "tree": files, "history": history}


def _sources(line: str) -> str:
    """Leave out what a copy is of: dockerd tells digests, and no space after an owner."""
    said = re.fullmatch(r"(.*#\(nop\) (?:COPY|ADD)) (?:(--chown=\S*?) ?)?(\S.*) in (.*)", line)
    if said is None:
        return line
    begin, owner, source, target = said.groups()
    if (digest := re.search(r"(file|dir|multi):[0-9a-f]{64}$", f"{owner or ''}{source}")) is None:
        owner = re.sub(" .*", "", f"{owner}{source}") if owner else None
    elif owner:
        owner = f"{owner}{source}"[: -len(digest[0])]
    return f"{begin} {owner or ''} in {target}"


def _classic(entry: list[Any] | None) -> list[Any] | None:
    if entry is None:
        return None
    type_, mode, uid, gid, moment, *rest = entry
    if type_ == "5":
        return [type_, mode, uid, gid, 0, *rest]
    return [type_, mode & ~BITS, uid, gid, moment, *rest]


def assert_same(ours: Outcome, theirs: Outcome) -> None:
    assert ours["config"] == theirs["config"]
    assert ours["tree"] == theirs["tree"]
    assert ours["history"] == theirs["history"]
    assert ours["again"] == theirs["again"]


@contextlib.contextmanager
def reference(engine: Engine, archive: Path, name: str) -> Iterator[Dockerd]:
    """A dockerd with our base image."""
    engine.docker("save", "-o", str(archive), "busybox:latest")
    made = (
        private_dockerd()
        if name == "classic-20"
        else private_dockerd(modern_dockerd(), features={"containerd-snapshotter": True})
    )
    with made as daemon:
        daemon.docker("load", "-i", str(archive))
        yield daemon


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.docker_cli
@pytest.mark.parametrize("name", ["classic-20", "buildx-26"])
def test_what_is_recorded_is_what_dockerd_makes(engine: Engine, tmp_path: Path, name: str) -> None:
    kind = name.partition("-")[0]
    with reference(engine, tmp_path / "busybox.tar", name) as daemon:
        door = Door(kind, daemon.host, daemon.root / "config")
        made = {one: door.outcome(one, tmp_path) for one in corpus.names_for(kind)}
    if RECORD:
        corpus.record(name, made)
    assert made == corpus.recorded(name)


@pytest.mark.docker_cli
@pytest.mark.parametrize("kind", ["classic", "session"])
def test_documents_become_scripts_and_files(engine: Engine, tmp_path: Path, kind: str) -> None:
    tag = f"corpus-documents-{kind}"
    context = corpus.prepare("heredocs", tmp_path)
    door = Door(kind, engine.host, engine.root / "config")
    door.build("-q", "--network", "none", "-t", tag, str(context))
    show = "cd /; for f in hello texts/* a b script; do echo $f:; cat $f; done; own && echo ok"
    shown = engine.docker("run", "--rm", "--network", "none", tag, "sh", "-c", show)
    engine.docker("image", "rm", "-f", tag)
    assert shown.stdout == (
        "hello:\nhello world\ntexts/greeting:\nhello world\ntexts/in:\none\ntwo\n"
        "texts/raw:\nhello $NAME\na:\nworld\nb:\n$NAME\nscript:\n/dev/pipes/SCRIPT\nok\n"
    )


@pytest.mark.docker_cli
@pytest.mark.parametrize("kind", ["classic", "session"])
def test_included_files_come_from_the_context(engine: Engine, tmp_path: Path, kind: str) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "Dockerfile").write_text("# include=on\nFROM busybox\nINCLUDE parts/one\n")
    (tmp_path / "parts/one").write_text("RUN echo one > /made\nINCLUDE parts/two\n")
    (tmp_path / "parts/two").write_text("COPY parts/file /copied\nRUN echo two >> /made\n")
    (tmp_path / "parts/file").write_text("three\n")
    tag = f"included-{kind}"
    door = Door(kind, engine.host, engine.root / "config")
    door.build("-q", "--network", "none", "-t", tag, str(tmp_path))
    shown = engine.docker("run", "--rm", "--network", "none", tag, "cat", "/made", "/copied")
    engine.docker("image", "rm", "-f", tag)
    assert shown.stdout == "one\ntwo\nthree\n"
