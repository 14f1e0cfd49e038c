"""Resources become writes to the files of cgroup v1."""

from __future__ import annotations

from collections.abc import Iterator

from boxship.errors import InvalidRequest
from boxship.runtime.cgroups.writes import UNLIMITED, Read, Write, page_size
from boxship.spec.oci import runtime


def writes(resources: runtime.Resources, read: Read) -> Iterator[Write]:
    """Yield what sets the limits asked for, and only those; devices are apart.

    Memory and memory with swap bound each other, so their order depends on whether they rise or
    fall. It need not be known: who writes tries what was refused once more after the rest.
    """
    if resources.unified:
        raise InvalidRequest("invalid configuration: cannot use unified on cgroup v1")
    if resources.cpu:
        yield from cpu(resources.cpu)
    if resources.memory:
        yield from memory(resources.memory)
    if resources.pids and resources.pids.limit is not None:
        limit = resources.pids.limit
        yield Write("pids.max", str(limit) if limit > 0 else "max", optional=limit <= 0)
    if resources.block_io:
        yield from block_io(resources.block_io, read)
    for huge in resources.hugepage_limits:
        size = page_size(huge.page_size)
        yield Write(f"hugetlb.{size}.limit_in_bytes", str(huge.limit))
        yield Write(f"hugetlb.{size}.rsvd.limit_in_bytes", str(huge.limit), optional=True)


def cpu(asked: runtime.CPU) -> Iterator[Write]:
    if asked.cpus:
        yield Write("cpuset.cpus", asked.cpus)
    if asked.mems:
        yield Write("cpuset.mems", asked.mems)
    if asked.shares:
        yield Write("cpu.shares", str(asked.shares))
    if asked.period:
        yield Write("cpu.cfs_period_us", str(asked.period))
    if asked.quota:
        yield Write("cpu.cfs_quota_us", str(asked.quota), optional=asked.quota < 0)
    if asked.burst is not None:
        yield Write("cpu.cfs_burst_us", str(asked.burst), optional=asked.burst == 0)
    if asked.realtime_period:
        yield Write("cpu.rt_period_us", str(asked.realtime_period))
    if asked.realtime_runtime:
        yield Write("cpu.rt_runtime_us", str(asked.realtime_runtime))
    if asked.idle is not None:
        yield Write("cpu.idle", str(asked.idle), optional=asked.idle == 0)


def memory(asked: runtime.Memory) -> Iterator[Write]:
    swap = asked.swap or (UNLIMITED if asked.limit == UNLIMITED else None)
    if asked.limit:
        yield Write("memory.limit_in_bytes", str(asked.limit), optional=asked.limit < 0)
    if swap:
        yield Write("memory.memsw.limit_in_bytes", str(swap), optional=swap < 0)
    if asked.reservation:
        reserved = asked.reservation
        yield Write("memory.soft_limit_in_bytes", str(reserved), optional=reserved < 0)
    if asked.kernel_tcp:
        yield Write("memory.kmem.tcp.limit_in_bytes", str(asked.kernel_tcp))
    if asked.swappiness is not None and asked.swappiness != UNLIMITED:
        yield Write("memory.swappiness", str(asked.swappiness))
    if asked.disable_oom_killer is not None:
        off = asked.disable_oom_killer
        yield Write("memory.oom_control", str(int(off)), optional=not off)


def block_io(asked: runtime.BlockIO, read: Read) -> Iterator[Write]:
    family = "blkio.bfq" if read("blkio.weight") is None else "blkio"
    if asked.weight:
        yield Write(f"{family}.weight", str(asked.weight))
    if asked.leaf_weight:
        yield Write("blkio.leaf_weight", str(asked.leaf_weight))
    for device in asked.weight_device:
        name = f"{device.major}:{device.minor}"
        if device.weight:
            yield Write(f"{family}.weight_device", f"{name} {device.weight}")
        if device.leaf_weight:
            yield Write("blkio.leaf_weight_device", f"{name} {device.leaf_weight}")
    for file, limits in (
        ("read_bps", asked.throttle_read_bps_device),
        ("write_bps", asked.throttle_write_bps_device),
        ("read_iops", asked.throttle_read_iops_device),
        ("write_iops", asked.throttle_write_iops_device),
    ):
        for limit in limits:
            value = f"{limit.major}:{limit.minor} {limit.rate}"  # a rate of 0 takes it away
            yield Write(f"blkio.throttle.{file}_device", value)
