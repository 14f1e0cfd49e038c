"""`docker buildx debug`: a shell in a result, and in what a step that failed has left behind."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.engine import Engine, docker_command, link_plugins

WITHIN = 60.0
PROMPT = b"/ # "


class Terminal:
    """The real client at a terminal."""

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self.fd = fd
        self.said = b""

    def wait(self, text: bytes) -> bytes:
        """Return what is said up to `text`, after what was asked for before."""
        ends = time.monotonic() + WITHIN
        while text not in self.said:
            left = ends - time.monotonic()
            assert left > 0, self.said.decode(errors="replace")
            if select.select([self.fd], [], [], left)[0]:
                data = os.read(self.fd, 1 << 16)
                assert data
                self.said += data
        found, _, self.said = self.said.partition(text)
        return found

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)


@contextmanager
def debugging(engine: Engine, folder: Path, on: str) -> Iterator[Terminal]:
    words = [docker_command(), "-H", engine.host, "buildx", "debug", f"--on={on}"]
    words += ["--invoke", "/bin/sh", "build", "--progress=plain", str(folder)]
    environment = {
        **os.environ,
        "DOCKER_CONFIG": f"{engine.root}/config",
        "BUILDX_EXPERIMENTAL": "1",
    }
    pid, fd = pty.fork()
    if not pid:
        os.execve(words[0], words, environment)
    try:
        yield Terminal(pid, fd)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(fd)


@pytest.mark.parametrize("on", ["always", "error"])
def test_a_shell_is_run_on_a_result_and_on_what_a_failed_step_left(
    engine: Engine, tmp_path: Path, on: str
) -> None:
    if not link_plugins(engine.root / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    last = "RUN echo left behind > /left; false\n" if on == "error" else "RUN echo done > /left\n"
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nRUN echo 1 > /first\n" + last)
    with debugging(engine, tmp_path, on) as terminal:
        said = terminal.wait(b"Launching interactive container")
        assert (b"did not complete successfully" in said) is (on == "error")
        terminal.wait(PROMPT)
        terminal.type(b"cat /first /left; echo 'the' end\n")
        shown = terminal.wait(b"the end")
        assert (b"left behind" if on == "error" else b"done") in shown
        terminal.type(b"exit 3\n")
        terminal.wait(b"exit code: 3")
