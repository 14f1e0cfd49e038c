"""`buildx debug`, ours and the real one: a shell in a result, and in what a failed step left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.engine import BOXSHIP, Engine, docker_command, link_plugins
from tests.support.terminal import Terminal, at_terminal

PROMPT = b"/ # "
PANIC = "panic: close of closed channel"  # docker buildx 0.13 has that now and then
TRIES = 5


@contextmanager
def debugging(engine: Engine, folder: Path, on: str, client: str) -> Iterator[Terminal]:
    command = [docker_command()] if client == "docker" else BOXSHIP
    words = [*command, "-H", engine.host, "buildx", "debug", f"--on={on}"]
    words += ["--invoke", "/bin/sh", "build", "--progress=plain", str(folder)]
    environment = {
        **os.environ,
        "DOCKER_CONFIG": f"{engine.root}/config",
        "BUILDX_EXPERIMENTAL": "1",
    }
    with at_terminal(words, environment) as terminal:
        yield terminal


@pytest.mark.parametrize("on", ["always", "error"])
@pytest.mark.parametrize("client", ["docker", "boxship"])
def test_a_shell_is_run_on_a_result_and_on_what_a_failed_step_left(
    engine: Engine, tmp_path: Path, on: str, client: str
) -> None:
    if client == "docker" and not link_plugins(engine.root / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    last = "RUN echo left behind > /left; false\n" if on == "error" else "RUN echo done > /left\n"
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nRUN echo 1 > /first\n" + last)
    for left in reversed(range(TRIES)):
        try:
            look_into(engine, tmp_path, on, client)
            return
        except AssertionError as failure:
            if client == "boxship" or PANIC not in str(failure) or not left:
                raise


def look_into(engine: Engine, folder: Path, on: str, client: str) -> None:
    with debugging(engine, folder, on, client) as terminal:
        said = terminal.wait(b"Launching interactive container")
        assert (b"did not complete successfully" in said) is (on == "error")
        terminal.wait(PROMPT)
        terminal.type(b"cat /first /left; echo 'the' end\n")
        shown = terminal.wait(b"the end")
        assert (b"left behind" if on == "error" else b"done") in shown
        terminal.type(b"exit 3\n")
        terminal.wait(b"exit code: 3")
