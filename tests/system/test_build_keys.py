"""What makes a step another one, and what does not: each change beside what is done again.

A modern dockerd does the same steps again after each of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.corpus import Door, reused
from tests.support.engine import Engine

pytestmark = pytest.mark.docker_cli
FILES = ("file", "other", "unrelated", "folder/inner")
COPIES = """FROM busybox
COPY file /file
COPY folder /folder
RUN cat /file
RUN --mount=source=other,target=/o cat /o
"""
ARGS = """FROM busybox
ARG EARLY
RUN echo one
ARG LATE=x
RUN echo two
LABEL said=$EARLY
ENV SAID=$LATE
RUN echo three
"""
SETTINGS = """FROM busybox
ENV A=1
USER 5
WORKDIR /tmp
RUN echo x
"""
STAGES = """FROM busybox AS first
RUN --mount=target=/c cat /c/file > /first
FROM busybox AS second
COPY other /other
RUN cat /other > /second
FROM busybox
COPY --from=first /first /
COPY --from=second /second /
RUN cat /first /second
"""
DOCUMENT = """FROM busybox
ARG V=1
COPY <<EOF /x
$V
EOF
RUN <<EOF
cat /x
EOF
"""
Change = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """A Dockerfile, what is changed after it was built, and which steps are done again then.

    Steps are named by how their lines begin.
    """

    name: str
    text: str
    change: Change | None = None
    words: Sequence[str] = ()
    text_after: str = ""
    again: Sequence[str] = ()


def write(path: str) -> Change:
    return lambda folder: (folder / path).write_text("changed") and None


def touch(path: str) -> Change:
    return lambda folder: os.utime(folder / path, (1, 1))


def mode(path: str, bits: int) -> Change:
    return lambda folder: (folder / path).chmod(bits)


def arg(said: str) -> Sequence[str]:
    return ("--build-arg", said)


BUILT_ON = ("COPY folder", "RUN cat", "RUN --mount")
CASES = (
    Case("time", COPIES, touch("file")),
    Case("unrelated", COPIES, write("unrelated")),
    Case("content", COPIES, write("file"), again=("COPY file", *BUILT_ON)),
    Case("mode", COPIES, mode("file", 0o700), again=("COPY file", *BUILT_ON)),
    Case("new-file", COPIES, write("folder/more"), again=BUILT_ON),
    Case("mounted", COPIES, write("other"), again=("RUN --mount",)),
    Case("mounted-mode", COPIES, mode("other", 0o700), again=("RUN --mount",)),
    Case("arg-used-later", ARGS, words=arg("LATE=y"), again=("RUN echo two", "RUN echo three")),
    Case(
        "arg-from-the-beginning", ARGS, words=arg("EARLY=y"),
        again=("RUN echo one", "RUN echo two", "RUN echo three"),
    ),
    Case("arg-nobody-declares", ARGS, words=arg("NONE=y")),
    Case("proxy", ARGS, words=arg("https_proxy=y")),
    Case("label-of-the-build", ARGS, words=("--label", "a=b")),
    Case("user", SETTINGS, text_after=SETTINGS.replace("5", "6"), again=("WORKDIR", "RUN")),
    Case("env", SETTINGS, text_after=SETTINGS.replace("A=1", "A=2"), again=("RUN",)),
    Case(
        "what-only-the-image-has", SETTINGS,
        text_after=SETTINGS.replace(
            "RUN", "EXPOSE 1\nVOLUME /v\nLABEL a=b\nSTOPSIGNAL 9\nCMD x\nHEALTHCHECK CMD x\nRUN"
        ),
    ),
    Case("blanks", SETTINGS, text_after=f"# new\n\n{SETTINGS.replace('RUN ', 'RUN   ')}"),
    Case(
        "shell", SETTINGS, text_after=SETTINGS.replace("RUN", 'SHELL ["sh", "-ec"]\nRUN'),
        again=("RUN",),
    ),
    Case("one-stage", STAGES, write("other"), again=(
        "RUN --mount", "COPY other", "RUN cat /other", "COPY --from=second", "RUN cat /first",
    )),
    Case("same-result", STAGES, write("folder/inner"), again=("RUN --mount",)),
    Case("document", DOCUMENT, words=arg("V=2"), again=("COPY <<EOF", "RUN <<EOF")),
    Case("name-of-a-document", DOCUMENT, text_after=DOCUMENT.replace("EOF", "END"), again=(
        "COPY <<END", "RUN <<END",
    )),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_change_does_again_what_depends_on_it(engine: Engine, tmp_path: Path, case: Case) -> None:
    door = Door("buildx", engine.host, engine.root / "config")
    folder = tmp_path / "context"
    (folder / "folder").mkdir(parents=True)
    for name in FILES:
        (folder / name).write_text(f"{name} of {case.name}")
    unique = f"ENV CASE={case.name}\n"
    first = case.text.replace("FROM busybox\n", f"FROM busybox\n{unique}")
    second = case.text_after.replace("FROM busybox\n", f"FROM busybox\n{unique}") or first

    def build(text: str, *words: str) -> dict[str, list[bool]]:
        (tmp_path / "Dockerfile").write_text(text)
        where = ("-f", str(tmp_path / "Dockerfile"), "--network", "none", "-o", "type=cacheonly")
        return reused(door.build(*where, *words, str(folder)))

    build(first)
    if case.change is not None:
        case.change(folder)
    found = build(second, *case.words)
    again = {step for step, hits in found.items() if not all(hits)}
    expected = {step for step in found if step.startswith(tuple(case.again))}
    assert again == expected, found
    assert len(expected) == len(case.again)
