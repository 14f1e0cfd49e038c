"""Limits: each refusal and each warning in the words that clients know."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from boxship.container.limits import MEGABYTE, members, settle, settle_new
from boxship.errors import InvalidRequest
from boxship.spec.engine.container import HostConfig, HostConfigBlkioWeightDeviceItem

CPUS = 4
GIGA = 1_000_000_000


@dataclass(frozen=True)
class Kernel:
    """A host that can limit everything, except for what is said."""

    memory_limit: bool = True
    memory_reservation: bool = True
    swap_limit: bool = True
    swappiness: bool = True
    oom_kill_disable: bool = True
    cpu_shares: bool = True
    cpu_quota: bool = True
    cpu_period: bool = True
    cpuset: bool = True
    cpus: str = "0-3"
    mems: str = "0"
    pids_limit: bool = True
    blkio_weight: bool = True
    blkio_weight_device: bool = True
    unified: bool = False


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"memory": 5 * MEGABYTE}, "Minimum memory limit allowed is 6MB"),
        ({"memory": 1}, "Minimum memory limit allowed is 6MB"),
        (
            {"memory": 64 * MEGABYTE, "memory_swap": 32 * MEGABYTE},
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            {"memory_swap": 64 * MEGABYTE},
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        ({"memory_swappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
        ({"memory_swappiness": -2}, "Invalid value: -2, valid memory swappiness range is 0-100"),
        ({"memory_reservation": MEGABYTE}, "Minimum memory reservation allowed is 6MB"),
        (
            {"memory": 8 * MEGABYTE, "memory_reservation": 16 * MEGABYTE},
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        (
            {"nano_cpus": GIGA, "cpu_period": 1000},
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
        ),
        (
            {"nano_cpus": GIGA, "cpu_quota": 1000},
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            {"nano_cpus": 5 * GIGA},
            "range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available",
        ),
        (
            {"nano_cpus": -1},
            "range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available",
        ),
        (
            {"cpu_period": 999},
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        (
            {"cpu_period": 1_000_001},
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        ({"cpu_quota": 999}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        (
            {"cpuset_cpus": "0,7"},
            "Requested CPUs are not available - requested 0,7, available: 0-3",
        ),
        (
            {"cpuset_mems": "1"},
            "Requested memory nodes are not available - requested 1, available: 0",
        ),
        ({"cpuset_cpus": "a"}, "Invalid value a for cpuset cpus"),
        ({"cpuset_mems": "0-"}, "Invalid value 0- for cpuset mems"),
        ({"cpuset_cpus": "3-1"}, "Invalid value 3-1 for cpuset cpus"),
        ({"cpuset_cpus": "0-99999999999"}, "Invalid value 0-99999999999 for cpuset cpus"),
        ({"blkio_weight": 9}, "Range of blkio weight is from 10 to 1000"),
        ({"blkio_weight": 1001}, "Range of blkio weight is from 10 to 1000"),
    ],
)
def test_what_makes_no_sense_is_refused(limits: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        settle(HostConfig(**limits), Kernel(), CPUS)
    assert str(refusal.value) == said


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"memory": 6 * MEGABYTE},
        {"memory": 6 * MEGABYTE, "memory_swap": -1},
        {"memory": 6 * MEGABYTE, "memory_swap": 6 * MEGABYTE},
        {"memory": 0, "memory_swap": -1},
        {"memory_swappiness": -1},
        {"memory_swappiness": 0},
        {"nano_cpus": 4 * GIGA},
        {"nano_cpus": 10_000_000},
        {"cpu_period": 1000, "cpu_quota": 1000},
        {"cpu_quota": -1},
        {"cpuset_cpus": "0-2,3", "cpuset_mems": "0"},
        {"pids_limit": -1},
        {"blkio_weight": 10},
        {"memory": 64 * MEGABYTE, "memory_reservation": 64 * MEGABYTE},
    ],
)
def test_what_makes_sense_stays_as_it_is(limits: dict[str, Any]) -> None:
    host = HostConfig(**limits)
    assert settle(host, Kernel(), CPUS) == []
    assert {name: getattr(host, name) for name in limits} == limits


NOT_MOUNTED = "or the cgroup is not mounted."


@pytest.mark.parametrize(
    ("lacks", "limits", "said", "left"),
    [
        (
            "memory_limit",
            {"memory": 64 * MEGABYTE, "memory_swap": 64 * MEGABYTE},
            "Your kernel does not support memory limit capabilities or the cgroup is not mounted. "
            "Limitation discarded.",
            {"memory": 0, "memory_swap": -1},
        ),
        (
            "swap_limit",
            {"memory": 64 * MEGABYTE, "memory_swap": 65 * MEGABYTE},
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. "
            "Memory limited without swap.",
            {"memory": 64 * MEGABYTE, "memory_swap": -1},
        ),
        (
            "swappiness",
            {"memory_swappiness": 10},
            "Your kernel does not support memory swappiness capabilities or the cgroup is not "
            "mounted. Memory swappiness discarded.",
            {"memory_swappiness": None},
        ),
        (
            "memory_reservation",
            {"memory_reservation": 64 * MEGABYTE},
            "Your kernel does not support memory soft limit capabilities or the cgroup is not "
            "mounted. Limitation discarded.",
            {"memory_reservation": 0},
        ),
        (
            "oom_kill_disable",
            {"oom_kill_disable": True},
            "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
            {"oom_kill_disable": None},
        ),
        (
            "pids_limit",
            {"pids_limit": 5},
            "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. "
            "PIDs limit discarded.",
            {"pids_limit": None},
        ),
        (
            "cpu_shares",
            {"cpu_shares": 5},
            "Your kernel does not support CPU shares or the cgroup is not mounted. "
            "Shares discarded.",
            {"cpu_shares": 0},
        ),
        (
            "cpu_quota",
            {"cpu_quota": 5000, "cpu_period": 100_000},
            "Your kernel does not support CPU CFS scheduler or the cgroup is not mounted. "
            "Period and quota discarded.",
            {"cpu_quota": 0, "cpu_period": 0},
        ),
        (
            "cpuset",
            {"cpuset_cpus": "0", "cpuset_mems": "0"},
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
            {"cpuset_cpus": "", "cpuset_mems": ""},
        ),
        (
            "blkio_weight",
            {"blkio_weight": 500},
            "Your kernel does not support Block I/O weight or the cgroup is not mounted. "
            "Weight discarded.",
            {"blkio_weight": 0},
        ),
    ],
)
def test_what_the_kernel_lacks_is_left_out_and_said(
    lacks: str, limits: dict[str, Any], said: str, left: dict[str, Any]
) -> None:
    host = HostConfig(**limits)
    assert settle(host, Kernel(**{lacks: False}), CPUS) == [said]
    assert {name: getattr(host, name) for name in left} == left


def test_cpus_without_a_scheduler_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="NanoCPUs can not be set, as your kernel does not"):
        settle(HostConfig(nano_cpus=GIGA), Kernel(cpu_quota=False), CPUS)


def test_no_oom_killer_without_a_limit_is_warned_of() -> None:
    (said,) = settle(HostConfig(oom_kill_disable=True), Kernel(), CPUS)
    assert "no memory limit is set" in said
    assert not settle(HostConfig(oom_kill_disable=True, memory=64 * MEGABYTE), Kernel(), CPUS)


def test_an_update_may_speak_of_swap_alone() -> None:
    assert not settle(HostConfig(memory_swap=64 * MEGABYTE), Kernel(), CPUS, update=True)


@pytest.mark.parametrize(
    ("text", "found"),
    [("", set()), ("0", {0}), ("0-2", {0, 1, 2}), ("0,2-3,2", {0, 2, 3})],
)
def test_lists_of_cpus(text: str, found: set[int]) -> None:
    assert members(text, "cpus") == found


@pytest.mark.parametrize("text", ["0,", ",0", " 0", "x", "1-0", "0-9999", "-1"])
def test_what_is_no_list_of_cpus(text: str) -> None:
    with pytest.raises(InvalidRequest, match=f"Invalid value {text} for cpuset cpus"):
        members(text, "cpus")


def test_what_is_discarded_is_not_measured() -> None:
    host = HostConfig(
        blkio_weight=5,
        blkio_weight_device=[HostConfigBlkioWeightDeviceItem(path="/dev/null", weight=5)],
    )
    kernel = Kernel(blkio_weight=False, blkio_weight_device=False)
    said = [*settle(host, kernel, CPUS), *settle_new(host, kernel)]
    assert [line.rpartition(". ")[2] for line in said] == [
        "Weight discarded.",
        "Weight-device discarded.",
    ]
    assert (host.blkio_weight, host.blkio_weight_device) == (0, [])


def test_whether_the_oom_killer_is_off_is_said_where_that_can_be() -> None:
    for can_be, shown in ((True, False), (False, None)):
        host = HostConfig()
        settle_new(host, Kernel(oom_kill_disable=can_be))
        assert host.oom_kill_disable is shown


def test_the_real_time_within_a_period_is_no_longer_than_it() -> None:
    with pytest.raises(InvalidRequest, match="cannot be higher than cpu real-time period"):
        settle(HostConfig(cpu_realtime_period=1000, cpu_realtime_runtime=2000), Kernel(), CPUS)
