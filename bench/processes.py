"""What the processes of an engine take: memory and CPU time, without what they run for others."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from bench.engines import Peer

_Answer = TypeVar("_Answer")


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


def memory(pids: Sequence[int], kind: str) -> float:
    """Return the memory of processes in MiB: their `Rss`, or their `Pss`, which is theirs alone."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith(f"{kind}:"):
                    total += int(line.split()[1])
    return total / 1024


def cpu_times(pids: Sequence[int]) -> dict[int, float]:
    """Return the CPU time that each process has used, in seconds."""
    times = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            times[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return times


def share_of_core(
    peer: Peer, seconds: float, meanwhile: Callable[[float], _Answer]
) -> tuple[float, _Answer]:
    """Return the share of a core, in percent, that an engine uses while something is done.

    Of a process that ends meanwhile nothing is known.
    """
    before = cpu_times(engine_processes(peer))
    began = time.monotonic()
    answer = meanwhile(seconds)
    took = time.monotonic() - began
    after = cpu_times(engine_processes(peer))
    used = sum(spent - before.get(pid, 0.0) for pid, spent in after.items())
    return 100 * used / took, answer
