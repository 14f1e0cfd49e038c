"""A log whose disk hangs holds its own container up, and no other. A FIFO plays the disk."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.engine import PATIENCE, Engine

IMAGE = "busybox:latest"
WITHIN = 60.0 * PATIENCE
LINES = 40_000
FULL = 60_000
FIONREAD = 0x541B
MOST = 40  # containers until one has the same shim: each shim keeps 32


def state(engine: Engine, name: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(engine.docker("inspect", name).stdout)[0]["State"]
    return document


def shim_of(engine: Engine, name: str) -> str:
    status = Path(f"/proc/{state(engine, name)['Pid']}/stat").read_text()
    return status.rsplit(")", 1)[1].split()[1]


def starters_of(shim: str) -> list[int]:
    """Return the processes that start programs for a shim."""
    children = Path(f"/proc/{shim}/task/{shim}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"boxship-starter" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


@contextmanager
def hanging(engine: Engine, name: str, *command: str) -> Iterator[int]:
    """Run a container whose log takes 64 KiB and then hangs; yield what lets it go on."""
    engine.docker("create", "--name", name, "--network", "none", IMAGE, *command)
    path = json.loads(engine.docker("inspect", name).stdout)[0]["LogPath"]
    os.mkfifo(path, 0o640)
    disk = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    try:
        engine.docker("start", name)
        yield disk
    finally:
        read(engine, name, disk)
        os.close(disk)
        engine.docker("rm", "-f", name)


def read(engine: Engine, name: str, disk: int) -> bytes:
    """Take what the log has, until the container has ended."""
    came = b""
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        has_ended = state(engine, name)["Status"] == "exited"
        try:
            while data := os.read(disk, 1 << 20):
                came += data
        except BlockingIOError:
            if has_ended:
                return came
    raise AssertionError(f"{name} does not end: {engine.tail()}")


def is_full(disk: int) -> bool:
    """Tell whether a FIFO takes almost nothing more."""
    return int.from_bytes(fcntl.ioctl(disk, FIONREAD, b"\0\0\0\0"), sys.byteorder) > FULL


def test_neighbours_run_on_and_nothing_of_the_log_is_lost(engine: Engine, name: str) -> None:
    with hanging(engine, name, "sh", "-c", f"sleep 0.5; seq 1 {LINES}") as disk:
        shim = shim_of(engine, name)
        others = []
        for number in range(MOST):
            others.append(f"{name}-{number}")
            asked = ("--name", others[-1], "--network", "none", IMAGE, "sleep", "3600")
            engine.docker("run", "-d", *asked)
            if shim_of(engine, others[-1]) == shim:
                break
        else:
            raise AssertionError("no other container has the same shim")
        other = others[-1]
        deadline = time.monotonic() + WITHIN
        while not is_full(disk):
            assert time.monotonic() < deadline, "the log does not hang"
            time.sleep(0.02)
        assert engine.docker("exec", other, "echo", "here").stdout == "here\n"
        typed = engine.docker("exec", "-i", other, "cat", input="typed\n")
        assert typed.stdout == "typed\n"
        engine.docker("exec", other, "sh", "-c", "echo said >/proc/1/fd/1")
        engine.docker("kill", other)
        assert engine.docker("wait", other).stdout == "137\n"
        assert engine.docker("logs", other).stdout == "said\n"
        for starter in starters_of(shim):
            os.kill(starter, signal.SIGKILL)
        others.append(f"{name}-late")
        engine.docker("run", "-d", "--name", others[-1], IMAGE, "sleep", "3600")
        # What has ended cannot be told before its log is written.
        assert state(engine, name)["Status"] == "running"
        records = [json.loads(line) for line in read(engine, name, disk).splitlines()]
        assert [int(record["log"]) for record in records] == list(range(1, LINES + 1))
        assert state(engine, name)["ExitCode"] == 0
        # What was started meanwhile is there after who started it has gone back to waiting.
        assert engine.docker("exec", others[-1], "echo", "here").stdout == "here\n"
        engine.docker("rm", "-f", *others)
