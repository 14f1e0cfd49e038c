"""What a container uses, worked out of one sample of the engine's."""

from __future__ import annotations

from boxship.cli.formatter import Listing
from boxship.lib.units import binary_size, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NONE = "--"


class Usage:
    """One sample, and the name it was asked by."""

    __slots__ = ("asked", "sample", "whole")

    def __init__(self, asked: str, sample: dict[str, Any], *, whole: bool) -> None:
        self.asked = asked
        self.sample = sample
        self.whole = whole


def name(usage: Usage) -> str:
    return str(usage.sample.get("name", "")).removeprefix("/") or NONE


def identifier(usage: Usage) -> str:
    found = str(usage.sample.get("id", "")) or usage.asked
    return found if usage.whole else found[:12]


def cpu_share(sample: dict[str, Any]) -> float:
    """Return how much of one processor was used between two samples, in hundredths."""
    now, before = sample.get("cpu_stats") or {}, sample.get("precpu_stats") or {}
    used = _total(now) - _total(before)
    system = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    processors = now.get("online_cpus") or len(
        (now.get("cpu_usage") or {}).get("percpu_usage") or ()
    )
    return used / system * processors * 100 if used > 0 and system > 0 else 0.0


def _total(stats: dict[str, Any]) -> int:
    return int((stats.get("cpu_usage") or {}).get("total_usage", 0))


def memory(sample: dict[str, Any]) -> tuple[int, int]:
    """Return what is used, without the files that the kernel would give up first, and the limit."""
    stats = sample.get("memory_stats") or {}
    used, limit = stats.get("usage", 0), stats.get("limit", 0)
    details = stats.get("stats") or {}
    for key in ("total_inactive_file", "inactive_file"):
        given_up = details.get(key)
        if given_up is not None and given_up < used:
            return used - given_up, limit
    return used, limit


def memory_share(usage: Usage) -> str:
    used, limit = memory(usage.sample)
    return f"{used / limit * 100 if limit else 0:.2f}%"


def memory_usage(usage: Usage) -> str:
    used, limit = memory(usage.sample)
    return f"{binary_size(used)} / {binary_size(limit)}"


def network(usage: Usage) -> str:
    links = (usage.sample.get("networks") or {}).values()
    received = sum(link.get("rx_bytes", 0) for link in links)
    sent = sum(link.get("tx_bytes", 0) for link in links)
    return f"{human_size(received, 3)} / {human_size(sent, 3)}"


def block(usage: Usage) -> str:
    entries = (usage.sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []
    totals = {"r": 0, "w": 0}
    for entry in entries:
        operation = str(entry.get("op", ""))[:1].lower()
        if operation in totals:
            totals[operation] += entry.get("value", 0)
    return f"{human_size(totals['r'], 3)} / {human_size(totals['w'], 3)}"


def processes(usage: Usage) -> str:
    return str((usage.sample.get("pids_stats") or {}).get("current", 0))


USAGES = Listing(
    "*container.statsContext",
    "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}"
    "\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}",
    {
        "BlockIO": ("BLOCK I/O", block),
        "CPUPerc": ("CPU %", lambda usage: f"{cpu_share(usage.sample):.2f}%"),
        "Container": ("CONTAINER", lambda usage: usage.asked),
        "ID": ("CONTAINER ID", identifier),
        "MemPerc": ("MEM %", memory_share),
        "MemUsage": ("MEM USAGE / LIMIT", memory_usage),
        "Name": ("NAME", name),
        "NetIO": ("NET I/O", network),
        "PIDs": ("PIDS", processes),
    },
)
