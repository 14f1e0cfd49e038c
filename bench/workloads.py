"""The workloads of the foundation: starts, execs, crowds, memory, lists, logs and streams."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.api import Api
from bench.engines import IMAGE, Peer
from bench.measure import Row, stopwatch

MIB = 1 << 20


def _create(api: Api, *command: str, network: str = "none", **host: object) -> str:
    made = api.call(
        "POST",
        "/containers/create",
        {
            "Image": IMAGE,
            "Cmd": list(command),
            "HostConfig": {"NetworkMode": network, **host},
        },
    )
    return str(made["Id"])


def _remove(api: Api, container: str) -> None:
    api.call("DELETE", f"/containers/{container}?force=1")


def cli_run(network: str, *flags: str) -> Row:
    def work(peer: Peer) -> float:
        command = peer.docker("run", "--rm", "--network", network, *flags, IMAGE, "true")
        with stopwatch() as seconds:
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            return seconds() * 1e3

    return Row(f"docker run --rm busybox true, {network}", "ms", work, rounds=15)


def api_cycle(network: str) -> Row:
    def work(peer: Peer) -> float:
        api = peer.api()
        with stopwatch() as seconds:
            container = _create(api, "true", network=network)
            api.call("POST", f"/containers/{container}/start")
            api.call("POST", f"/containers/{container}/wait")
            api.call("DELETE", f"/containers/{container}")
            return seconds() * 1e3

    return Row(f"API create + start + wait + remove, {network}", "ms", work, rounds=15)


def first_byte(peer: Peer) -> float:
    api = peer.api()
    with stopwatch() as seconds:
        container = _create(api, "echo", "hello")
        taken, rest = api.upgrade(f"/containers/{container}/attach?stream=1&stdout=1")
        api.call("POST", f"/containers/{container}/start")
        if not rest:
            taken.recv(100)
        took = seconds() * 1e3
    taken.close()
    api.call("POST", f"/containers/{container}/wait")
    _remove(api, container)
    return took


@contextlib.contextmanager
def running(peer: Peer, *command: str, **host: object):  # type: ignore[no-untyped-def]
    api = peer.api()
    container = _create(api, *(command or ("sleep", "3600")), **host)
    api.call("POST", f"/containers/{container}/start")
    try:
        yield api, container
    finally:
        _remove(api, container)


def exec_once(api: Api, container: str) -> float:
    """Run `true` in a container until the end of its output; return the milliseconds."""
    with stopwatch() as seconds:
        made = api.call(
            "POST",
            f"/containers/{container}/exec",
            {"Cmd": ["true"], "AttachStdout": True},
        )
        taken, _ = api.upgrade(f"/exec/{made['Id']}/start", {"Detach": False})
        while taken.recv(65536):
            pass
        took = seconds() * 1e3
    taken.close()
    return took


def api_exec(peer: Peer) -> float:
    with running(peer) as (api, container):
        times = sorted(exec_once(api, container) for _ in range(10))
        return times[len(times) // 2]


def cli_exec(peer: Peer) -> float:
    with running(peer) as (_, container), stopwatch() as seconds:
        subprocess.run(peer.docker("exec", container, "true"), check=True, capture_output=True)
        return seconds() * 1e3


def ping(peer: Peer) -> float:
    api = peer.api()
    times = []
    for _ in range(300):
        with stopwatch() as seconds:
            api.call("GET", "/_ping")
            times.append(seconds() * 1e6)
    return sorted(times)[150]


def ps_api(count: int, *, everything: bool = False) -> Row:
    def work(peer: Peer) -> float:
        api = peer.api()
        with stopwatch() as seconds:
            listed = api.call("GET", f"/containers/json?all={int(everything)}")
            took = seconds() * 1e3
        assert len(listed) >= count, len(listed)
        return took

    what = "created" if everything else "running"
    return Row(f"API ps, {count} {what}", "ms", work, rounds=15)


def cli_ps(count: int) -> Row:
    def work(peer: Peer) -> float:
        with stopwatch() as seconds:
            subprocess.run(peer.docker("ps"), check=True, capture_output=True)
            return seconds() * 1e3

    return Row(f"docker ps, {count} running", "ms", work, rounds=15)


def inspect(peer: Peer) -> float:
    api = peer.api()
    container = _create(api, "true")
    times = []
    for _ in range(100):
        with stopwatch() as seconds:
            api.call("GET", f"/containers/{container}/json")
            times.append(seconds() * 1e6)
    _remove(api, container)
    return sorted(times)[50]


class Hundred:
    """One hundred containers, created and started, stopped and removed, some at a time."""

    def __init__(self, at_a_time: int, count: int = 100) -> None:
        self._at_a_time = at_a_time
        self._count = count
        self._made: dict[str, list[str]] = {}

    def _spread(self, peer: Peer, work) -> float:  # type: ignore[no-untyped-def]
        apis = [peer.api() for _ in range(self._at_a_time)]

        def share(index: int) -> list[str]:
            return [
                work(apis[index], number) for number in range(index, self._count, self._at_a_time)
            ]

        with ThreadPoolExecutor(self._at_a_time) as pool, stopwatch() as seconds:
            made = [name for part in pool.map(share, range(self._at_a_time)) for name in part]
            took = seconds() * 1e3 / self._count
        self._made[peer.name] = made
        return took

    def start(self, peer: Peer) -> float:
        def work(api: Api, number: int) -> str:
            container = _create(api, "sleep", "3600")
            api.call("POST", f"/containers/{container}/start")
            return container

        return self._spread(peer, work)

    def stop(self, peer: Peer) -> float:
        def work(api: Api, number: int) -> str:
            container = self._made[peer.name][number]
            api.call("POST", f"/containers/{container}/stop?t=0")
            return container

        return self._spread(peer, work)

    def remove(self, peer: Peer) -> float:
        def work(api: Api, number: int) -> str:
            container = self._made[peer.name][number]
            _remove(api, container)
            return container

        return self._spread(peer, work)

    def rows(self) -> list[Row]:
        how = f"{self._at_a_time} at a time"
        return [
            Row(f"create + start each of {self._count}, {how}", "ms", self.start, rounds=0),
            Row(f"stop -t0 each, {how}", "ms", self.stop, rounds=0),
            Row(f"rm each, {how}", "ms", self.remove, rounds=0),
        ]


def proportional_memory(pids: list[int]) -> float:
    """Return the PSS of processes, in MiB."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total / 1024


def cpu_seconds(pids: list[int]) -> float:
    """Return the CPU time that processes have used."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def engine_processes(peer: Peer) -> list[int]:
    """Return the engine's own processes: descendants and shims, without the payloads."""
    assert peer.process is not None
    children: dict[int, list[int]] = {}
    words: dict[int, bytes] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            children.setdefault(int(stat[1]), []).append(int(entry))
            words[int(entry)] = Path(f"/proc/{entry}/cmdline").read_bytes()
    found, todo = [], [peer.process.pid]
    todo += [pid for pid, line in words.items() if str(peer.root).encode() in line]
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.append(pid)
            todo += children.get(pid, [])
    return [pid for pid in found if not words.get(pid, b"").startswith((b"sleep", b"/bin/sleep"))]


def logs_write(peer: Peer) -> float:
    line = "x" * 499
    command = f"awk 'BEGIN {{ for (i = 0; i < 200000; i++) print \"{line}\" }}'"
    api = peer.api()
    container = _create(api, "sh", "-c", command)
    with stopwatch() as seconds:
        api.call("POST", f"/containers/{container}/start")
        api.call("POST", f"/containers/{container}/wait")
        rate = 100 / seconds()
    _remove(api, container)
    return rate


def logs_read(peer: Peer) -> float:
    line = "x" * 499
    command = f"awk 'BEGIN {{ for (i = 0; i < 100000; i++) print \"{line}\" }}'"
    api = peer.api()
    container = _create(api, "sh", "-c", command)
    api.call("POST", f"/containers/{container}/start")
    api.call("POST", f"/containers/{container}/wait")
    taken = socket.socket(socket.AF_UNIX)
    taken.connect(peer.socket)
    with stopwatch() as seconds:
        taken.sendall(
            api.head("GET", f"/containers/{container}/logs?stdout=1", b"", "Connection: close\r\n")
        )
        total = 0
        buffer = bytearray(MIB)
        while got := taken.recv_into(buffer):
            total += got
        rate = total / 1e6 / seconds()
    taken.close()
    _remove(api, container)
    return rate


def _drain(taken: socket.socket) -> int:
    total = 0
    buffer = bytearray(MIB)
    while got := taken.recv_into(buffer):
        total += got
    return total


def attach_stdout(peer: Peer) -> float:
    api = peer.api()
    command = "head -c 536870912 /dev/zero"
    container = _create(api, "sh", "-c", command, LogConfig={"Type": "none"})
    taken, rest = api.upgrade(f"/containers/{container}/attach?stream=1&stdout=1")
    with stopwatch() as seconds:
        api.call("POST", f"/containers/{container}/start")
        total = len(rest) + _drain(taken)
        rate = total / 1e6 / seconds()
    taken.close()
    api.call("POST", f"/containers/{container}/wait")
    _remove(api, container)
    assert total >= 512 * MIB, total
    return rate


def exec_stdout(peer: Peer) -> float:
    with running(peer) as (api, container):
        made = api.call(
            "POST",
            f"/containers/{container}/exec",
            {"Cmd": ["head", "-c", "536870912", "/dev/zero"], "AttachStdout": True},
        )
        with stopwatch() as seconds:
            taken, rest = api.upgrade(f"/exec/{made['Id']}/start", {"Detach": False})
            total = len(rest) + _drain(taken)
            rate = total / 1e6 / seconds()
        taken.close()
        assert total >= 512 * MIB, total
        return rate


def exec_stdin(peer: Peer) -> float:
    with running(peer) as (api, container):
        made = api.call(
            "POST",
            f"/containers/{container}/exec",
            {
                "Cmd": ["sh", "-c", "cat >/dev/null"],
                "AttachStdin": True,
                "AttachStdout": True,
            },
        )
        block = bytes(MIB)
        with stopwatch() as seconds:
            taken, _ = api.upgrade(f"/exec/{made['Id']}/start", {"Detach": False})
            for _ in range(512):
                taken.sendall(block)
            taken.shutdown(socket.SHUT_WR)
            _drain(taken)
            rate = 512 * MIB / 1e6 / seconds()
        taken.close()
        return rate


def idle_share(peer: Peer, seconds: float = 15.0) -> float:
    """Return the share of a core, in percent, that the engine uses when nothing is asked."""
    pids = engine_processes(peer)
    before = cpu_seconds(pids)
    time.sleep(seconds)
    return 100 * (cpu_seconds(pids) - before) / seconds
