"""Limits: which make sense, which this machine can set, and what is said of those it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from boxship.errors import InvalidRequest
from boxship.spec.engine.container import HostConfig

MEGABYTE: Final = 1 << 20
LEAST_MEMORY: Final = 6 * MEGABYTE
UNLIMITED: Final = -1


class Features(Protocol):
    """What can be limited here, as `runtime.cgroups` found out."""

    @property
    def memory_limit(self) -> bool: ...
    @property
    def memory_reservation(self) -> bool: ...
    @property
    def swap_limit(self) -> bool: ...
    @property
    def swappiness(self) -> bool: ...
    @property
    def oom_kill_disable(self) -> bool: ...
    @property
    def cpu_shares(self) -> bool: ...
    @property
    def cpu_quota(self) -> bool: ...
    @property
    def cpu_period(self) -> bool: ...
    @property
    def cpuset(self) -> bool: ...
    @property
    def cpus(self) -> str: ...
    @property
    def mems(self) -> str: ...
    @property
    def pids_limit(self) -> bool: ...
    @property
    def blkio_weight(self) -> bool: ...
    @property
    def blkio_weight_device(self) -> bool: ...
    @property
    def unified(self) -> bool: ...


class Limits(Protocol):
    """The members of HostConfig, and of an update, that limit."""

    memory: int | None
    memory_swap: int | None
    memory_reservation: int | None
    memory_swappiness: int | None
    oom_kill_disable: bool | None
    pids_limit: int | None
    nano_cpus: int | None
    cpu_shares: int | None
    cpu_period: int | None
    cpu_quota: int | None
    cpuset_cpus: str | None
    cpuset_mems: str | None
    blkio_weight: int | None
    cpu_realtime_period: int | None
    cpu_realtime_runtime: int | None


def settle(limits: Limits, features: Features, cpus: int, *, update: bool = False) -> list[str]:
    """Check `limits`, drop from it what cannot be set here, and return what to warn of."""
    warnings: list[str] = []
    _memory(limits, features, warnings.append, update=update)
    _processes(limits, features, warnings.append)
    _cpu(limits, features, cpus, warnings.append)
    _cpuset(limits, features, warnings.append)
    _blkio(limits, features, warnings.append)
    return warnings


def settle_new(host: HostConfig, features: Features) -> list[str]:
    """Do the same for what only creation knows."""
    if host.oom_kill_disable is None and features.oom_kill_disable:
        host.oom_kill_disable = False
    if not host.blkio_weight_device or features.blkio_weight_device:
        return []
    host.blkio_weight_device = []
    return [
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. "
        "Weight-device discarded."
    ]


def _memory(
    limits: Limits, features: Features, warn: Callable[[str], None], *, update: bool
) -> None:
    memory, swap = limits.memory or 0, limits.memory_swap or 0
    if memory and memory < LEAST_MEMORY:
        raise InvalidRequest("Minimum memory limit allowed is 6MB")
    if memory > 0 and not features.memory_limit:
        warn(
            "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
            "Limitation discarded."
        )
        memory, swap = 0, UNLIMITED
    if memory > 0 and swap != UNLIMITED and not features.swap_limit:
        warn(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
            "Memory limited without swap."
        )
        swap = UNLIMITED
    if memory > 0 and 0 < swap < memory:
        raise InvalidRequest(
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        )
    if memory == 0 and swap > 0 and not update:
        raise InvalidRequest(
            "You should always set the Memory limit when using Memoryswap limit, see usage"
        )
    if limits.memory is not None or memory:
        limits.memory = memory
    if limits.memory_swap is not None or swap:
        limits.memory_swap = swap
    swappiness = limits.memory_swappiness
    if swappiness is not None and swappiness != UNLIMITED:
        if not 0 <= swappiness <= 100:
            raise InvalidRequest(
                f"Invalid value: {swappiness}, valid memory swappiness range is 0-100"
            )
        if not features.swappiness:
            warn(
                "Your kernel does not support memory swappiness capabilities or the cgroup is not "
                "mounted. Memory swappiness discarded."
            )
            limits.memory_swappiness = None
    _reservation(limits, features, warn)
    _oom(limits, features, warn)


def _reservation(limits: Limits, features: Features, warn: Callable[[str], None]) -> None:
    reservation = limits.memory_reservation or 0
    if reservation > 0 and not features.memory_reservation:
        warn(
            "Your kernel does not support memory soft limit capabilities or the cgroup is not "
            "mounted. Limitation discarded."
        )
        limits.memory_reservation = reservation = 0
    if 0 < reservation < LEAST_MEMORY:
        raise InvalidRequest("Minimum memory reservation allowed is 6MB")
    if 0 < (limits.memory or 0) < reservation:
        raise InvalidRequest(
            "Minimum memory limit can not be less than memory reservation limit, see usage"
        )


def _oom(limits: Limits, features: Features, warn: Callable[[str], None]) -> None:
    if not limits.oom_kill_disable:
        return
    if not features.oom_kill_disable:
        warn("Your kernel does not support OomKillDisable. OomKillDisable discarded.")
        limits.oom_kill_disable = None
    elif not limits.memory:
        warn(
            "OOM killer is disabled for the container, but no memory limit is set, "
            "this can result in the system running out of resources."
        )


def _processes(limits: Limits, features: Features, warn: Callable[[str], None]) -> None:
    if limits.pids_limit is not None and not features.pids_limit:
        if limits.pids_limit > 0:
            warn(
                "Your kernel does not support PIDs limit capabilities or the cgroup is not "
                "mounted. PIDs limit discarded."
            )
        limits.pids_limit = None


def _cpu(limits: Limits, features: Features, cpus: int, warn: Callable[[str], None]) -> None:
    nano, period, quota = limits.nano_cpus or 0, limits.cpu_period or 0, limits.cpu_quota or 0
    if nano > 0 and period > 0:
        raise InvalidRequest("Conflicting options: Nano CPUs and CPU Period cannot both be set")
    if nano > 0 and quota > 0:
        raise InvalidRequest("Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    if nano > 0 and not (features.cpu_quota and features.cpu_period):
        raise InvalidRequest(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the "
            "cgroup is not mounted"
        )
    if nano < 0 or nano > cpus * 1_000_000_000:
        raise InvalidRequest(
            f"range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        )
    if (limits.cpu_shares or 0) > 0 and not features.cpu_shares:
        warn(
            "Your kernel does not support CPU shares or the cgroup is not mounted. "
            "Shares discarded."
        )
        limits.cpu_shares = 0
    if (period or quota) and not (features.cpu_quota and features.cpu_period):
        warn(
            "Your kernel does not support CPU CFS scheduler or the cgroup is not mounted. "
            "Period and quota discarded."
        )
        limits.cpu_period = limits.cpu_quota = period = quota = 0
    if period and not 1000 <= period <= 1_000_000:
        raise InvalidRequest(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"
        )
    runtime, window = limits.cpu_realtime_runtime or 0, limits.cpu_realtime_period or 0
    if 0 < window < runtime:
        raise InvalidRequest("cpu real-time runtime cannot be higher than cpu real-time period")
    if 0 < quota < 1000:
        raise InvalidRequest("CPU cfs quota can not be less than 1ms (i.e. 1000)")


def _cpuset(limits: Limits, features: Features, warn: Callable[[str], None]) -> None:
    cpus, mems = limits.cpuset_cpus or "", limits.cpuset_mems or ""
    if (cpus or mems) and not features.cpuset:
        warn("Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.")
        limits.cpuset_cpus = limits.cpuset_mems = ""
        return
    if cpus and not members(cpus, "cpus") <= members(features.cpus, "cpus"):
        raise InvalidRequest(
            f"Requested CPUs are not available - requested {cpus}, available: {features.cpus}"
        )
    if mems and not members(mems, "mems") <= members(features.mems, "mems"):
        raise InvalidRequest(
            f"Requested memory nodes are not available - requested {mems}, "
            f"available: {features.mems}"
        )


def members(text: str, what: str) -> set[int]:
    """Read a list such as `0-3,5`."""
    wrong = f"Invalid value {text} for cpuset {what}"
    found: set[int] = set()
    for word in text.split(",") if text else ():
        first, dash, last = word.partition("-")
        if not (first.isascii() and first.isdigit() and len(first) < 6):
            raise InvalidRequest(wrong)
        if dash and not (last.isascii() and last.isdigit() and len(last) < 6):
            raise InvalidRequest(wrong)
        low, high = int(first), int(last) if dash else int(first)
        if high < low or high > 8192:
            raise InvalidRequest(wrong)
        found.update(range(low, high + 1))
    return found


def _blkio(limits: Limits, features: Features, warn: Callable[[str], None]) -> None:
    weight = limits.blkio_weight or 0
    if weight > 0 and not features.blkio_weight:
        warn(
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. "
            "Weight discarded."
        )
        limits.blkio_weight = weight = 0
    if weight and not 10 <= weight <= 1000:
        raise InvalidRequest("Range of blkio weight is from 10 to 1000")
