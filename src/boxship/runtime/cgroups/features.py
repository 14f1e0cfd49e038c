"""What this machine can limit, in the terms that the Engine API's `info` uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Features:
    """What limits work. `cpus` and `mems` list what is available, as the kernel writes it."""

    unified: bool = False
    memory_limit: bool = False
    memory_reservation: bool = False
    swap_limit: bool = False
    swappiness: bool = False
    oom_kill_disable: bool = False
    kernel_memory_tcp: bool = False
    cpu_shares: bool = False
    cpu_quota: bool = False
    cpu_period: bool = False
    cpu_realtime: bool = False
    cpuset: bool = False
    cpus: str = ""
    mems: str = ""
    pids_limit: bool = False
    blkio_weight: bool = False
    blkio_weight_device: bool = False
    read_bps: bool = False
    write_bps: bool = False
    read_iops: bool = False
    write_iops: bool = False
    devices: bool = False
    freezer: bool = False
    hugetlb: bool = False


NAMES_V1 = (
    ("memory_limit", "memory limit"),
    ("swap_limit", "swap limit"),
    ("oom_kill_disable", "oom kill disable"),
    ("cpu_quota", "cpu cfs quota"),
    ("cpu_period", "cpu cfs period"),
    ("cpu_shares", "cpu shares"),
    ("cpuset", "cpuset"),
    ("pids_limit", "pids limit"),
    ("blkio_weight", "blkio weight"),
    ("blkio_weight_device", "blkio weight_device"),
    ("read_bps", "blkio throttle.read_bps_device"),
    ("write_bps", "blkio throttle.write_bps_device"),
    ("read_iops", "blkio throttle.read_iops_device"),
    ("write_iops", "blkio throttle.write_iops_device"),
)
NAMES_V2 = (
    ("memory_limit", "memory limit"),
    ("swap_limit", "swap limit"),
    ("cpu_quota", "cpu cfs quota"),
    ("cpu_period", "cpu cfs period"),
    ("cpu_shares", "cpu shares"),
    ("cpuset", "cpuset"),
    ("pids_limit", "pids limit"),
    ("blkio_weight", "io.weight"),
    ("blkio_weight_device", "io.weight (per device)"),
    ("read_bps", "io.max (rbps)"),
    ("write_bps", "io.max (wbps)"),
    ("read_iops", "io.max (riops)"),
    ("write_iops", "io.max (wiops)"),
)


def warnings(features: Features) -> list[str]:
    """Say what is missing, as `docker info` does."""
    names = NAMES_V2 if features.unified else NAMES_V1
    return [
        f"WARNING: No {name} support" for member, name in names if not getattr(features, member)
    ]
