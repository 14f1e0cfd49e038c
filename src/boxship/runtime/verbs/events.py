"""events: what a container uses, and when its memory runs out, as lines of JSON."""

from __future__ import annotations

import os
import select
import sys
import time
from typing import Final

import msgspec

from boxship.errors import InvalidRequest
from boxship.runtime import flags
from boxship.runtime.cgroups import Cgroup
from boxship.runtime.cgroups.stats import BlkioStats, CgroupStats, MemoryStats
from boxship.runtime.errors import WrongState
from boxship.runtime.standing import Folder
from boxship.runtime.verbs.call import Call, group_of

USUAL: Final = 5.0  # seconds between two lines
UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
CHECK: Final = 1.0  # seconds after which it is noticed that the container has ended


def events(call: Call) -> int:
    """Print until the container ends; with --stats once."""
    interval = seconds(flags.text(call.flags, "interval", "5s"))
    if interval <= 0:
        raise InvalidRequest("duration interval must be greater than 0")
    folder = call.folder()
    made = folder.read()
    if folder.status(made) == "stopped":
        raise WrongState(f"container with id {made.id} is not running")
    group = group_of(made)
    if flags.given(call.flags, "stats"):
        tell("stats", made.id, document(group.stats()))
        return 0
    watched = group.oom_watch()
    try:
        follow(folder, group, interval, watched)
    finally:
        if watched is not None:
            os.close(watched)
    return 0


def follow(folder: Folder, group: Cgroup, interval: float, watched: int | None) -> None:
    """Print what happens until the container ends."""
    made = folder.read()
    kills = group.oom_kills()
    poll = select.poll()
    if watched is not None:
        poll.register(watched, select.POLLIN | select.POLLPRI)
    due = time.monotonic() + interval
    while folder.status(made) != "stopped":
        left = min(due - time.monotonic(), CHECK)
        if poll.poll(max(left, 0) * 1000) and watched is not None:
            os.read(watched, 4096)
        if (now := group.oom_kills()) > kills:
            kills = now
            tell("oom", made.id)
        if time.monotonic() >= due:
            due += interval
            tell("stats", made.id, document(group.stats()))


def seconds(text: str) -> float:
    """Read a duration as Go writes it, in one unit."""
    unit = text.lstrip("0123456789.")
    number = text.removesuffix(unit)
    try:
        return float(number) * UNITS[unit]
    except (KeyError, ValueError):
        raise InvalidRequest(f"invalid value {text!r} for flag -interval") from None


def tell(kind: str, container: str, data: object = None) -> None:
    line: dict[str, object] = {"type": kind, "id": container}
    if data is not None:
        line["data"] = data
    sys.stdout.write(msgspec.json.encode(line).decode() + "\n")
    sys.stdout.flush()


def document(stats: CgroupStats) -> dict[str, object]:
    """Return figures under the names that readers of this command know."""
    told: dict[str, object] = {}
    if cpu := stats.cpu:
        told["cpu"] = {
            "usage": {
                "total": cpu.total,
                "percpu": list(cpu.percpu),
                "kernel": cpu.kernel,
                "user": cpu.user,
            },
            "throttling": {
                "periods": cpu.periods,
                "throttledPeriods": cpu.throttled_periods,
                "throttledTime": cpu.throttled_time,
            },
        }
    if stats.memory:
        told["memory"] = memory(stats.memory)
    if stats.pids:
        told["pids"] = {"current": stats.pids.current, "limit": stats.pids.limit or 0}
    if stats.blkio:
        told["blkio"] = blkio(stats.blkio)
    return told


def memory(stats: MemoryStats) -> dict[str, object]:
    usage = {
        "limit": (1 << 64) - 1 if stats.limit is None else stats.limit,
        "usage": stats.usage,
        "max": stats.max_usage or 0,
        "failcnt": stats.failcnt,
    }
    cache = stats.stats.get("cache", stats.stats.get("file", 0))
    return {"cache": cache, "usage": usage, "raw": dict(stats.stats)}


def blkio(stats: BlkioStats) -> dict[str, object]:
    return {
        name: [msgspec.to_builtins(entry) for entry in entries]
        for name, entries in (
            ("ioServiceBytesRecursive", stats.service_bytes),
            ("ioServicedRecursive", stats.serviced),
            ("ioQueueRecursive", stats.queued),
            ("ioServiceTimeRecursive", stats.service_time),
            ("ioWaitTimeRecursive", stats.wait_time),
            ("ioMergedRecursive", stats.merged),
            ("ioTimeRecursive", stats.time),
            ("sectorsRecursive", stats.sectors),
        )
    }
