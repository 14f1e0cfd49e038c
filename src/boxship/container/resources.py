"""Limits as the runtime specification has them; of a whole HostConfig, or of an update."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from boxship.container.limits import Limits
from boxship.errors import InvalidRequest
from boxship.spec.engine.container import (
    HostConfig,
    HostConfigBlkioWeightDeviceItem,
    ThrottleDevice,
)
from boxship.spec.oci import runtime as oci

PERIOD = 100_000  # microseconds
MINIMUM_SHARES = 2


def of(host: HostConfig, rules: Iterable[oci.DeviceRule]) -> oci.Resources:
    """Return all limits of a container."""
    resources = changed(host)
    resources.devices = list(rules)
    resources.block_io = block_io(host)
    if resources.cpu is not None:
        resources.cpu.realtime_period = host.cpu_realtime_period or None
        resources.cpu.realtime_runtime = host.cpu_realtime_runtime or None
    return resources


def changed(limits: Limits) -> oci.Resources:
    """Return the limits that are said, and nothing about the others."""
    memory = oci.Memory(
        limit=limits.memory or None,
        reservation=limits.memory_reservation or None,
        swap=limits.memory_swap or None,
        swappiness=limits.memory_swappiness,
        disable_oom_killer=limits.oom_kill_disable or None,
    )
    cpu = oci.CPU(
        shares=max(MINIMUM_SHARES, limits.cpu_shares) if limits.cpu_shares else None,
        quota=limits.cpu_quota or None,
        period=limits.cpu_period or None,
        cpus=limits.cpuset_cpus or "",
        mems=limits.cpuset_mems or "",
    )
    if limits.nano_cpus:
        cpu.period = PERIOD
        cpu.quota = limits.nano_cpus * PERIOD // 1_000_000_000
    block = oci.BlockIO(weight=limits.blkio_weight) if limits.blkio_weight else None
    pids = oci.Pids(limit=limits.pids_limit) if limits.pids_limit else None
    return oci.Resources(memory=memory, cpu=cpu, pids=pids, block_io=block)


def block_io(host: HostConfig) -> oci.BlockIO | None:
    """Return the limits of single block devices, which are looked up by path."""
    block = oci.BlockIO(
        weight=host.blkio_weight or None,
        weight_device=[_weight(item) for item in host.blkio_weight_device or ()],
        throttle_read_bps_device=_throttles(host.blkio_device_read_bps),
        throttle_write_bps_device=_throttles(host.blkio_device_write_bps),
        throttle_read_iops_device=_throttles(host.blkio_device_read_iops),
        throttle_write_iops_device=_throttles(host.blkio_device_write_iops),
    )
    return None if block == oci.BlockIO() else block


def _weight(item: HostConfigBlkioWeightDeviceItem) -> oci.WeightDevice:
    major, minor = _numbers(item.path or "")
    return oci.WeightDevice(major=major, minor=minor, weight=item.weight)


def _throttles(items: list[ThrottleDevice] | None) -> list[oci.ThrottleDevice]:
    found = []
    for item in items or ():
        major, minor = _numbers(item.path or "")
        found.append(oci.ThrottleDevice(major=major, minor=minor, rate=item.rate or 0))
    return found


def _numbers(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except OSError as failure:
        raise InvalidRequest(f"{path}: {(failure.strerror or '').lower()}") from None
    if not stat.S_ISBLK(found.st_mode):
        raise InvalidRequest(f"{path} is not a block device")
    return os.major(found.st_rdev), os.minor(found.st_rdev)
