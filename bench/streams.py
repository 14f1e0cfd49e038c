"""The workloads of output and input: logs as they are written and read, and attached clients."""

from __future__ import annotations

import contextlib
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence

from bench.api import Api
from bench.engines import Peer
from bench.measure import FAILURES, Effort, Row, Stage, alone, stopwatch, tell
from bench.workloads import MOST_SECONDS, create, middle, remove, running

MIB = 1 << 20
LINE = 500
TOGETHER = 8


def _printer(lines: int, size: int = LINE) -> tuple[str, ...]:
    """Return the command of a program that writes lines in pieces of 4 KiB."""
    text = "x" * (size - 1)
    return "sh", "-c", f"awk 'BEGIN {{ for (i = 0; i < {lines}; i++) print \"{text}\" }}'"


def _writer(mebibytes: int) -> tuple[str, ...]:
    """Return the command of a program that is quicker than a pipe: it writes large pieces."""
    return "dd", "if=/dev/zero", "bs=1M", f"count={mebibytes}"


def _run(api: Api, container: str) -> None:
    api.call("POST", f"/containers/{container}/start")
    api.call("POST", f"/containers/{container}/wait")


def _drain(taken: socket.socket) -> int:
    total = 0
    buffer = bytearray(MIB)
    while got := taken.recv_into(buffer):
        total += got
    return total


def logs_written(effort: Effort) -> Row:
    def work(peer: Peer) -> float:
        api = peer.api()
        container = create(api, *_printer(effort.lines))
        with stopwatch() as seconds:
            _run(api, container)
            rate = effort.lines * LINE / 1e6 / seconds()
        remove(api, container)
        return rate

    name = f"log of {effort.lines // 1000}k lines to exit"
    return Row(name, "MB/s", work, rounds=3, more_is_better=True)


def logs_together(effort: Effort) -> Row:
    """The logs of some containers at once, for as long as they take."""
    each = effort.lines // TOGETHER

    def work(peer: Peer) -> float:
        api = peer.api()
        containers = [create(api, *_printer(each)) for _ in range(TOGETHER)]
        with stopwatch() as seconds:
            for container in containers:
                api.call("POST", f"/containers/{container}/start")
            for container in containers:
                api.call("POST", f"/containers/{container}/wait")
            rate = TOGETHER * each * LINE / 1e6 / seconds()
        for container in containers:
            remove(api, container)
        return rate

    name = f"logs of {TOGETHER} containers at once, to exit"
    return Row(name, "MB/s", work, rounds=3, more_is_better=True)


def logs_read(effort: Effort) -> Stage:
    """Reading one log in each way, which is written once for each engine."""
    lines = effort.lines // 2  # so that no engine has thrown away any
    logs: dict[str, str] = {}

    def by_api(peer: Peer, query: str = "stdout=1&stderr=1") -> float:
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as taken:
            taken.connect(peer.socket)
            path = f"/containers/{logs[peer.name]}/logs?{query}"
            with stopwatch() as seconds:
                taken.sendall(peer.api().head("GET", path, b"", "Connection: close\r\n"))
                total = _drain(taken)
                took = seconds()
        assert total >= lines * LINE, total
        return lines * LINE / 1e6 / took

    def by_client(peer: Peer) -> float:
        with stopwatch() as seconds:
            subprocess.run(
                peer.docker("logs", logs[peer.name]),
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=MOST_SECONDS,
            )
            return lines * LINE / 1e6 / seconds()

    def tail(peer: Peer) -> float:
        api, path = peer.api(), f"/containers/{logs[peer.name]}/logs?stdout=1&stderr=1&tail=10"
        return middle(20, lambda: api.call("GET", path)) * 1e3

    rows = [
        Row("logs read back by API", "MB/s", by_api, 3, more_is_better=True),
        Row(
            "logs with times by API",
            "MB/s",
            lambda peer: by_api(peer, "stdout=1&timestamps=1"),
            3,
            more_is_better=True,
        ),
        Row("docker logs", "MB/s", by_client, 3, more_is_better=True),
        Row("logs, tail=10", "ms", tail),
    ]

    def measure(peers: Sequence[Peer], effort: Effort) -> None:
        ready = []
        try:
            for peer in peers:
                try:
                    logs[peer.name] = create(peer.api(), *_printer(lines))
                    _run(peer.api(), logs[peer.name])
                    ready.append(peer)
                except FAILURES as error:
                    tell(f"logs read back: {peer.name}: {error}")
            for row in rows:
                row.take(ready, effort.most_rounds)
        finally:
            for peer in peers:
                if peer.name in logs:
                    remove(peer.api(), logs[peer.name])

    return Stage(rows, measure)


def attach_stdout(effort: Effort) -> Row:
    size = effort.mebibytes * MIB

    def work(peer: Peer) -> float:
        api = peer.api()
        container = create(api, *_writer(effort.mebibytes), LogConfig={"Type": "none"})
        taken, rest = api.upgrade(f"/containers/{container}/attach?stream=1&stdout=1")
        with stopwatch() as seconds:
            api.call("POST", f"/containers/{container}/start")
            total = len(rest) + _drain(taken)
            rate = size / 1e6 / seconds()
        taken.close()
        api.call("POST", f"/containers/{container}/wait")
        remove(api, container)
        assert total >= size, total
        return rate

    name = f"attach {effort.mebibytes} MiB stdout"
    return Row(name, "MB/s", work, 5, more_is_better=True)


def _exec(
    peer: Peer, command: Sequence[str], work: Callable[[socket.socket], int], size: int, **how: bool
) -> float:
    """Return the speed at which `size` bytes go through an exec's streams."""
    with running(peer) as (api, container):
        asked = {"Cmd": list(command), "AttachStdout": True, **how}
        made = api.call("POST", f"/containers/{container}/exec", asked)
        with stopwatch() as seconds:
            taken, rest = api.upgrade(f"/exec/{made['Id']}/start", {"Detach": False})
            total = len(rest) + work(taken)
            rate = size / 1e6 / seconds()
        taken.close()
        assert total >= size, total
        return rate


def exec_stdout(effort: Effort, *, small: bool = False) -> Row:
    size = effort.mebibytes * MIB
    command = _writer(effort.mebibytes)
    if small:
        command = ("dd", "if=/dev/zero", "bs=4k", f"count={effort.mebibytes * 256}")

    def work(peer: Peer) -> float:
        return _exec(peer, command, _drain, size)

    how = ", written in 4 KiB" if small else ""
    name = f"exec {effort.mebibytes} MiB stdout{how}"
    return Row(name, "MB/s", work, 5, more_is_better=True)


def exec_stdin(effort: Effort) -> Row:
    size = effort.mebibytes * MIB

    def send(taken: socket.socket) -> int:
        block = bytes(MIB)
        for _ in range(effort.mebibytes):
            taken.sendall(block)
        taken.shutdown(socket.SHUT_WR)
        _drain(taken)
        return size

    def work(peer: Peer) -> float:
        return _exec(peer, ("sh", "-c", "cat >/dev/null"), send, size, AttachStdin=True)

    return Row(f"exec {effort.mebibytes} MiB stdin", "MB/s", work, 5, more_is_better=True)


def stages(effort: Effort) -> Iterator[Stage]:
    """Yield the rows of logs and streams."""
    yield alone(logs_written(effort))
    yield alone(logs_together(effort))
    yield logs_read(effort)
    yield alone(attach_stdout(effort))
    yield alone(exec_stdout(effort))
    yield alone(exec_stdout(effort, small=True))
    yield alone(exec_stdin(effort))
