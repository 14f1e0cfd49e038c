"""A program at a terminal of its own, and what it says there."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.support.engine import PATIENCE

WITHIN = 60.0


class Terminal:
    """A client at a terminal."""

    def __init__(self, process: subprocess.Popen[bytes], fd: int) -> None:
        self.process = process
        self.fd = fd
        self.said = b""

    def wait(self, text: bytes) -> bytes:
        """Return what is said up to `text`, after what was asked for before."""
        ends = time.monotonic() + WITHIN * PATIENCE
        while text not in self.said:
            left = ends - time.monotonic()
            assert left > 0, self.said.decode(errors="replace")
            if select.select([self.fd], [], [], left)[0]:
                try:
                    self.said += os.read(self.fd, 1 << 16)
                except OSError:  # nobody is there any more
                    raise AssertionError(self.said.decode(errors="replace")) from None
        found, _, self.said = self.said.partition(text)
        return found

    def type(self, text: bytes) -> None:
        os.write(self.fd, text)


@contextmanager
def at_terminal(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[Terminal]:
    """Run a program; it is killed at the end of the block."""
    ours, its = pty.openpty()
    try:
        process = subprocess.Popen(
            ["setsid", "-c", *words], stdin=its, stdout=its, stderr=its, env=environment
        )
    finally:
        os.close(its)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
