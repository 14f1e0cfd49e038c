"""Resources become writes to the files of cgroup v2."""

from __future__ import annotations

from collections.abc import Iterator

from boxship.errors import InvalidRequest, NotSupported
from boxship.runtime.cgroups.writes import (
    UNLIMITED,
    Read,
    Write,
    io_weight_of,
    page_size,
    weight_of_shares,
)
from boxship.spec.oci import runtime


def writes(resources: runtime.Resources, read: Read) -> Iterator[Write]:
    """Yield what sets the limits asked for, and only those; devices are apart.

    Swappiness and the switch for the OOM killer have no counterpart in v2; the engine discards
    them with a warning, and so do runtimes.
    """
    if resources.cpu:
        yield from cpu(resources.cpu, read)
    if resources.memory:
        yield from memory(resources.memory, read)
    if resources.pids and resources.pids.limit is not None:
        limit = resources.pids.limit
        yield Write("pids.max", str(limit) if limit > 0 else "max", optional=limit <= 0)
    if resources.block_io:
        yield from block_io(resources.block_io, read)
    for huge in resources.hugepage_limits:
        size = page_size(huge.page_size)
        yield Write(f"hugetlb.{size}.max", str(huge.limit))
        yield Write(f"hugetlb.{size}.rsvd.max", str(huge.limit), optional=True)
    for file, value in resources.unified.items():
        yield unified(file, value)


def cpu(asked: runtime.CPU, read: Read) -> Iterator[Write]:
    if asked.realtime_runtime or asked.realtime_period:
        raise NotSupported("cgroup v2 does not support limits for real-time scheduling")
    if asked.cpus:
        yield Write("cpuset.cpus", asked.cpus)
    if asked.mems:
        yield Write("cpuset.mems", asked.mems)
    if asked.idle is not None:
        yield Write("cpu.idle", str(asked.idle), optional=asked.idle == 0)
    if asked.shares and asked.idle != 1:  # an idle group has no weight
        yield Write("cpu.weight", str(weight_of_shares(asked.shares)))
    if asked.quota or asked.period:
        yield bandwidth(asked, read)
    if asked.burst is not None:
        yield Write("cpu.max.burst", str(asked.burst), optional=asked.burst == 0)


def bandwidth(asked: runtime.CPU, read: Read) -> Write:
    """One file holds quota and period. The kernel keeps a period that is not named, not a quota."""
    if asked.quota:
        quota = str(asked.quota) if asked.quota > 0 else "max"
    else:
        quota = (read("cpu.max") or "max").split()[0]
    words = f"{quota} {asked.period}" if asked.period else quota
    return Write("cpu.max", words, optional=words == "max")


def memory(asked: runtime.Memory, read: Read) -> Iterator[Write]:
    if asked.limit:
        yield Write("memory.max", amount(asked.limit), optional=asked.limit < 0)
    swap = swap_alone(asked, read)
    if swap is not None:
        yield Write("memory.swap.max", swap, optional=swap in ("max", "0"))
    if asked.reservation:
        reserved = asked.reservation if asked.reservation > 0 else 0
        yield Write("memory.low", str(reserved), optional=not reserved)


def swap_alone(asked: runtime.Memory, read: Read) -> str | None:
    """Return the words for memory.swap.max: v2 counts swap alone, the request memory with swap."""
    if not asked.swap:
        return "max" if asked.limit == UNLIMITED else None
    if asked.swap < 0:
        return "max"
    limit = asked.limit
    if not limit:
        now = (read("memory.max") or "max").strip()
        limit = UNLIMITED if now == "max" else int(now)
    if limit < 0:
        raise InvalidRequest("unable to set swap limit without memory limit")
    if asked.swap < limit:
        raise InvalidRequest("memory+swap limit should be >= memory limit")
    return str(asked.swap - limit)


def block_io(asked: runtime.BlockIO, read: Read) -> Iterator[Write]:
    if asked.leaf_weight or any(device.leaf_weight for device in asked.weight_device):
        raise NotSupported("cgroup v2 does not support leaf weights")
    bfq = read("io.bfq.weight") is not None
    file = "io.bfq.weight" if bfq else "io.weight"
    if asked.weight:
        yield Write(file, str(asked.weight if bfq else io_weight_of(asked.weight)))
    for device in asked.weight_device:
        if device.weight:
            weight = device.weight if bfq else io_weight_of(device.weight)
            yield Write(file, f"{device.major}:{device.minor} {weight}")
    for key, limits in (
        ("rbps", asked.throttle_read_bps_device),
        ("wbps", asked.throttle_write_bps_device),
        ("riops", asked.throttle_read_iops_device),
        ("wiops", asked.throttle_write_iops_device),
    ):
        for limit in limits:
            yield Write("io.max", f"{limit.major}:{limit.minor} {key}={limit.rate or 'max'}")


def unified(file: str, value: str) -> Write:
    if "/" in file or "." not in file.strip("."):
        raise InvalidRequest(f"unified resource {file!r} must be a file name (no slashes)")
    return Write(file, value)


def amount(size: int) -> str:
    return "max" if size < 0 else str(size)
