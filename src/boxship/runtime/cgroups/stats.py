"""What a control group has used, as the kernel's files tell it; parsing is apart from reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from boxship.runtime.cgroups.files import flat, number

Read = Callable[[str], str | None]
TICK = 10_000_000  # nanoseconds in one of v1's ticks: USER_HZ is 100 on every machine Linux runs on
NO_LIMIT = 1 << 62  # v1 shows "none" as the largest number of whole pages


@dataclass(frozen=True, slots=True)
class CpuStats:
    """Time in nanoseconds; `percpu` is empty where the kernel does not say (v2)."""

    total: int = 0
    user: int = 0
    kernel: int = 0
    percpu: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """Bytes; `stats` is memory.stat, with its own names, which differ between v1 and v2.

    `max_usage` is None where the kernel does not keep it; `failcnt` counts v1's refusals, in v2
    the times that the limit was about to be exceeded beyond help (`oom`).
    """

    usage: int = 0
    max_usage: int | None = None
    limit: int | None = None
    failcnt: int = 0
    stats: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PidsStats:
    current: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class BlkioEntry:
    """One device's count of one operation; `op` is Read, Write, Sync ... as in v1, or v2's."""

    major: int
    minor: int
    op: str
    value: int


Entries = tuple[BlkioEntry, ...]


@dataclass(frozen=True, slots=True)
class BlkioStats:
    """Named as in the Engine API; v2 knows bytes and operations alone."""

    service_bytes: Entries = ()
    serviced: Entries = ()
    queued: Entries = ()
    service_time: Entries = ()
    wait_time: Entries = ()
    merged: Entries = ()
    time: Entries = ()
    sectors: Entries = ()


@dataclass(frozen=True, slots=True)
class CgroupStats:
    """All of it; None for what no controller counts here. `unified` tells v2's names from v1's."""

    unified: bool
    cpu: CpuStats | None = None
    memory: MemoryStats | None = None
    pids: PidsStats | None = None
    blkio: BlkioStats | None = None


def pids(read: Read) -> PidsStats | None:
    """Both versions have the same files."""
    current = read("pids.current")
    return None if current is None else PidsStats(int(current), number(read("pids.max")))


def cpu_v1(read: Read) -> CpuStats | None:
    total = read("cpuacct.usage")
    if total is None:
        return None
    user, kernel = number(read("cpuacct.usage_user")), number(read("cpuacct.usage_sys"))
    if user is None or kernel is None:
        ticks = dict(flat(read("cpuacct.stat") or ""))
        user, kernel = ticks.get("user", 0) * TICK, ticks.get("system", 0) * TICK
    throttling = dict(flat(read("cpu.stat") or ""))
    return CpuStats(
        total=int(total),
        user=user,
        kernel=kernel,
        percpu=tuple(map(int, (read("cpuacct.usage_percpu") or "").split())),
        periods=throttling.get("nr_periods", 0),
        throttled_periods=throttling.get("nr_throttled", 0),
        throttled_time=throttling.get("throttled_time", 0),
    )


def cpu_v2(read: Read) -> CpuStats | None:
    text = read("cpu.stat")
    if text is None:
        return None
    seen = dict(flat(text))
    return CpuStats(
        total=seen.get("usage_usec", 0) * 1000,
        user=seen.get("user_usec", 0) * 1000,
        kernel=seen.get("system_usec", 0) * 1000,
        periods=seen.get("nr_periods", 0),
        throttled_periods=seen.get("nr_throttled", 0),
        throttled_time=seen.get("throttled_usec", 0) * 1000,
    )


def memory_v1(read: Read) -> MemoryStats | None:
    usage = read("memory.usage_in_bytes")
    if usage is None:
        return None
    limit = number(read("memory.limit_in_bytes"))
    return MemoryStats(
        usage=int(usage),
        max_usage=number(read("memory.max_usage_in_bytes")),
        limit=None if limit is None or limit >= NO_LIMIT else limit,
        failcnt=number(read("memory.failcnt")) or 0,
        stats=dict(flat(read("memory.stat") or "")),
    )


def memory_v2(read: Read) -> MemoryStats | None:
    usage = read("memory.current")
    if usage is None:
        return None
    return MemoryStats(
        usage=int(usage),
        max_usage=number(read("memory.peak")),
        limit=number(read("memory.max")),
        failcnt=dict(flat(read("memory.events") or "")).get("oom", 0),
        stats=dict(flat(read("memory.stat") or "")),
    )


def blkio_v1(read: Read) -> BlkioStats | None:
    """Take the scheduler's counters where one keeps them, else those of throttling."""
    serviced = entries(read("blkio.bfq.io_serviced_recursive"))
    if serviced:
        return BlkioStats(
            service_bytes=entries(read("blkio.bfq.io_service_bytes_recursive")),
            serviced=serviced,
            queued=entries(read("blkio.bfq.io_queued_recursive")),
            service_time=entries(read("blkio.bfq.io_service_time_recursive")),
            wait_time=entries(read("blkio.bfq.io_wait_time_recursive")),
            merged=entries(read("blkio.bfq.io_merged_recursive")),
            time=entries(read("blkio.bfq.time_recursive")),
            sectors=entries(read("blkio.bfq.sectors_recursive")),
        )
    recursive = read("blkio.throttle.io_serviced_recursive")
    if recursive is not None:
        service_bytes = read("blkio.throttle.io_service_bytes_recursive")
        return BlkioStats(service_bytes=entries(service_bytes), serviced=entries(recursive))
    alone = read("blkio.throttle.io_serviced")
    if alone is None:
        return None
    service_bytes = read("blkio.throttle.io_service_bytes")
    return BlkioStats(service_bytes=entries(service_bytes), serviced=entries(alone))


def entries(text: str | None) -> Entries:
    """Read v1's lines `8:0 Read 4096`, `8:0 4096`; the sum over all devices is left out."""
    return tuple(each_entry(text or ""))


def each_entry(text: str) -> Iterator[BlkioEntry]:
    for line in text.splitlines():
        device, *rest = line.split()
        major, colon, minor = device.partition(":")
        if colon and rest:
            op = rest[0] if len(rest) > 1 else ""
            yield BlkioEntry(int(major), int(minor), op, int(rest[-1]))


def io_v2(read: Read) -> BlkioStats | None:
    """Read io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`."""
    text = read("io.stat")
    if text is None:
        return None
    service_bytes: list[BlkioEntry] = []
    serviced: list[BlkioEntry] = []
    for line in text.splitlines():
        device, *pairs = line.split()
        major, colon, minor = device.partition(":")
        seen = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        if not colon or "rbytes" not in seen:  # a device that went away shows its name alone
            continue
        for op, amount, count in (("read", "rbytes", "rios"), ("write", "wbytes", "wios")):
            service_bytes.append(BlkioEntry(int(major), int(minor), op, int(seen.get(amount, 0))))
            serviced.append(BlkioEntry(int(major), int(minor), op, int(seen.get(count, 0))))
    return BlkioStats(service_bytes=tuple(service_bytes), serviced=tuple(serviced))
