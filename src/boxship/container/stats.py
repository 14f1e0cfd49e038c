"""What a container uses, as `GET /containers/{id}/stats` tells it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from boxship.lib import moments
from boxship.runtime.cgroups import stats as cgroup
from boxship.spec.engine.container import (
    ContainerBlkioStatEntry,
    ContainerBlkioStats,
    ContainerCPUStats,
    ContainerCPUUsage,
    ContainerMemoryStats,
    ContainerNetworkStats,
    ContainerPidsStats,
    ContainerStatsResponse,
    ContainerStorageStats,
    ContainerThrottlingData,
)

NEVER: Final = "0001-01-01T00:00:00Z"
MOST_PIDS: Final = (1 << 64) - 1  # how the API says "no limit"


@dataclass(frozen=True, slots=True)
class Host:
    """What the whole machine tells beside the container's own figures."""

    cpu_time: int  # nanoseconds, all processors, idle time included
    processors: int
    memory: int  # bytes

    @classmethod
    def read(cls) -> Host:
        """Ask the kernel."""
        with open("/proc/stat", encoding="ascii") as file:
            ticks = sum(int(field) for field in file.readline().split()[1:8])
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        nanoseconds = ticks * (1_000_000_000 // os.sysconf("SC_CLK_TCK"))
        return cls(nanoseconds, os.sysconf("SC_NPROCESSORS_ONLN"), pages)


def sample(
    container: str,
    name: str,
    used: cgroup.CgroupStats,
    networks: dict[str, ContainerNetworkStats],
    host: Host,
    now: int,
) -> ContainerStatsResponse:
    """Return one sample, without what came before it (`precpu_stats`)."""
    return ContainerStatsResponse(
        id=container,
        name=f"/{name}",
        os_type="linux",
        read=moments.show(now),
        preread=NEVER,
        num_procs=0,
        pids_stats=_pids(used.pids),
        blkio_stats=_blkio(used.blkio),
        storage_stats=ContainerStorageStats(),
        cpu_stats=_cpu(used.cpu, host),
        precpu_stats=_cpu(None, None),
        memory_stats=_memory(used.memory, host, unified=used.unified),
        networks=networks or None,
    )


def follow(before: ContainerStatsResponse | None, now: ContainerStatsResponse) -> None:
    """Put the sample before into the sample after it, as clients need to work out shares."""
    if before is not None:
        now.preread = before.read
        now.precpu_stats = before.cpu_stats


def empty(container: str, name: str) -> ContainerStatsResponse:
    """Return the sample of a container that does not run."""
    return ContainerStatsResponse(
        id=container,
        name=f"/{name}",
        os_type="linux",
        read=NEVER,
        preread=NEVER,
        num_procs=0,
        pids_stats=ContainerPidsStats(),
        blkio_stats=_blkio(None),
        storage_stats=ContainerStorageStats(),
        cpu_stats=_cpu(None, None),
        precpu_stats=_cpu(None, None),
        memory_stats=ContainerMemoryStats(),
    )


def network_counters(pid: int) -> dict[str, ContainerNetworkStats]:
    """Return the counters of the links that a process sees, its loopback left out."""
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii", errors="replace") as file:
            return parse_counters(file.readlines()[2:])
    except (FileNotFoundError, ProcessLookupError):
        return {}


def parse_counters(lines: Iterable[str]) -> dict[str, ContainerNetworkStats]:
    """Read the body of /proc/net/dev."""
    counters = {}
    for line in lines:
        name, _, rest = line.partition(":")
        fields = [int(field) for field in rest.split()]
        if name.strip() == "lo" or len(fields) < 12:
            continue
        counters[name.strip()] = ContainerNetworkStats(
            rx_bytes=fields[0],
            rx_packets=fields[1],
            rx_errors=fields[2],
            rx_dropped=fields[3],
            tx_bytes=fields[8],
            tx_packets=fields[9],
            tx_errors=fields[10],
            tx_dropped=fields[11],
        )
    return counters


def _cpu(used: cgroup.CpuStats | None, host: Host | None) -> ContainerCPUStats:
    used = used or cgroup.CpuStats()
    return ContainerCPUStats(
        cpu_usage=ContainerCPUUsage(
            total_usage=used.total,
            percpu_usage=list(used.percpu) or None,
            usage_in_kernelmode=used.kernel,
            usage_in_usermode=used.user,
        ),
        system_cpu_usage=host.cpu_time if host else None,
        online_cpus=host.processors if host else None,
        throttling_data=ContainerThrottlingData(
            periods=used.periods,
            throttled_periods=used.throttled_periods,
            throttled_time=used.throttled_time,
        ),
    )


def _memory(used: cgroup.MemoryStats | None, host: Host, *, unified: bool) -> ContainerMemoryStats:
    if used is None:
        return ContainerMemoryStats()
    return ContainerMemoryStats(
        usage=used.usage,
        max_usage=used.max_usage,
        stats=dict(used.stats),
        failcnt=None if unified else used.failcnt,
        limit=min(used.limit or host.memory, host.memory),
    )


def _pids(used: cgroup.PidsStats | None) -> ContainerPidsStats:
    if used is None:
        return ContainerPidsStats()
    limit = MOST_PIDS if used.limit is None else used.limit
    return ContainerPidsStats(current=used.current, limit=limit)


def _blkio(used: cgroup.BlkioStats | None) -> ContainerBlkioStats:
    used = used or cgroup.BlkioStats()

    def entries(kept: cgroup.Entries) -> list[ContainerBlkioStatEntry] | None:
        return [
            ContainerBlkioStatEntry(major=e.major, minor=e.minor, op=e.op, value=e.value)
            for e in kept
        ] or None

    return ContainerBlkioStats(
        io_service_bytes_recursive=entries(used.service_bytes),
        io_serviced_recursive=entries(used.serviced),
        io_queue_recursive=entries(used.queued),
        io_service_time_recursive=entries(used.service_time),
        io_wait_time_recursive=entries(used.wait_time),
        io_merged_recursive=entries(used.merged),
        io_time_recursive=entries(used.time),
        sectors_recursive=entries(used.sectors),
    )
