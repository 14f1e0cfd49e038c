"""Limits become writes: what is asked, in the kernel's words, and nothing else."""

from __future__ import annotations

import pytest

from boxship.errors import InvalidRequest, NotSupported
from boxship.runtime import cgroups
from boxship.runtime.cgroups import files, paths, plan_v1, plan_v2, writes
from boxship.runtime.cgroups.errors import BadCgroupPath
from boxship.runtime.cgroups.hybrid import divide
from boxship.runtime.cgroups.writes import Write
from boxship.spec.oci.runtime import (
    CPU,
    BlockIO,
    HugepageLimit,
    Memory,
    Pids,
    Resources,
    ThrottleDevice,
    WeightDevice,
)

G = 1 << 30


def v1(resources, **now):
    return [
        (w.file, w.value) for w in plan_v1.writes(resources, lambda f: now.get(f.replace(".", "_")))
    ]


def v2(resources, **now):
    return [
        (w.file, w.value) for w in plan_v2.writes(resources, lambda f: now.get(f.replace(".", "_")))
    ]


@pytest.mark.parametrize(
    ("asked", "on_v1", "on_v2"),
    [
        (Resources(), [], []),
        (
            Resources(memory=Memory(limit=G, swap=3 * G, reservation=G // 2, swappiness=10)),
            [
                ("memory.limit_in_bytes", str(G)),
                ("memory.memsw.limit_in_bytes", str(3 * G)),
                ("memory.soft_limit_in_bytes", str(G // 2)),
                ("memory.swappiness", "10"),
            ],
            [
                ("memory.max", str(G)),
                ("memory.swap.max", str(2 * G)),
                ("memory.low", str(G // 2)),
            ],
        ),
        (
            Resources(memory=Memory(limit=G, swap=G)),
            [("memory.limit_in_bytes", str(G)), ("memory.memsw.limit_in_bytes", str(G))],
            [("memory.max", str(G)), ("memory.swap.max", "0")],
        ),
        (
            Resources(memory=Memory(limit=G, swap=-1)),
            [("memory.limit_in_bytes", str(G)), ("memory.memsw.limit_in_bytes", "-1")],
            [("memory.max", str(G)), ("memory.swap.max", "max")],
        ),
        (
            Resources(memory=Memory(limit=-1)),
            [("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")],
            [("memory.max", "max"), ("memory.swap.max", "max")],
        ),
        (Resources(memory=Memory(limit=0, swap=0, reservation=0, swappiness=-1)), [], []),
        (
            Resources(memory=Memory(disable_oom_killer=True)),
            [("memory.oom_control", "1")],
            [],
        ),
        (
            Resources(cpu=CPU(shares=1024, quota=50_000, period=100_000, cpus="0-1", mems="0")),
            [
                ("cpuset.cpus", "0-1"),
                ("cpuset.mems", "0"),
                ("cpu.shares", "1024"),
                ("cpu.cfs_period_us", "100000"),
                ("cpu.cfs_quota_us", "50000"),
            ],
            [
                ("cpuset.cpus", "0-1"),
                ("cpuset.mems", "0"),
                ("cpu.weight", "100"),
                ("cpu.max", "50000 100000"),
            ],
        ),
        (Resources(cpu=CPU(quota=50_000)), [("cpu.cfs_quota_us", "50000")], [("cpu.max", "50000")]),
        (Resources(cpu=CPU(quota=-1)), [("cpu.cfs_quota_us", "-1")], [("cpu.max", "max")]),
        (
            Resources(cpu=CPU(period=50_000)),
            [("cpu.cfs_period_us", "50000")],
            [("cpu.max", "max 50000")],
        ),
        (Resources(pids=Pids(limit=7)), [("pids.max", "7")], [("pids.max", "7")]),
        (Resources(pids=Pids(limit=-1)), [("pids.max", "max")], [("pids.max", "max")]),
        (Resources(pids=Pids(limit=0)), [("pids.max", "max")], [("pids.max", "max")]),
        (
            Resources(hugepage_limits=[HugepageLimit(page_size="2MB", limit=4096)]),
            [
                ("hugetlb.2MB.limit_in_bytes", "4096"),
                ("hugetlb.2MB.rsvd.limit_in_bytes", "4096"),
            ],
            [("hugetlb.2MB.max", "4096"), ("hugetlb.2MB.rsvd.max", "4096")],
        ),
        (
            Resources(
                block_io=BlockIO(
                    throttle_read_bps_device=[ThrottleDevice(major=8, minor=0, rate=1000)],
                    throttle_write_iops_device=[ThrottleDevice(major=8, minor=16, rate=0)],
                )
            ),
            [
                ("blkio.throttle.read_bps_device", "8:0 1000"),
                ("blkio.throttle.write_iops_device", "8:16 0"),
            ],
            [("io.max", "8:0 rbps=1000"), ("io.max", "8:16 wiops=max")],
        ),
    ],
)
def test_resources_become_writes(asked, on_v1, on_v2):
    assert v1(asked) == on_v1
    assert v2(asked) == on_v2


def test_io_weights_use_the_scheduler_that_is_there():
    asked = Resources(
        block_io=BlockIO(weight=500, weight_device=[WeightDevice(major=8, minor=0, weight=10)])
    )
    assert v1(asked, blkio_weight="500") == [
        ("blkio.weight", "500"),
        ("blkio.weight_device", "8:0 10"),
    ]
    assert v1(asked)[0] == ("blkio.bfq.weight", "500")
    assert v2(asked, io_bfq_weight="default 100")[0] == ("io.bfq.weight", "500")
    assert v2(asked) == [("io.weight", "4950"), ("io.weight", "8:0 1")]


def test_a_new_period_keeps_the_quota_that_is_set():
    asked = Resources(cpu=CPU(period=20_000))
    assert v2(asked, cpu_max="50000 100000\n") == [("cpu.max", "50000 20000")]


def test_swap_alone_is_reckoned_from_the_limit_that_is_set():
    asked = Resources(memory=Memory(swap=3 * G))
    assert v2(asked, memory_max=f"{G}\n") == [("memory.swap.max", str(2 * G))]
    with pytest.raises(InvalidRequest, match="unable to set swap limit without memory limit"):
        v2(asked, memory_max="max\n")
    with pytest.raises(InvalidRequest, match=r"memory\+swap limit should be >= memory limit"):
        v2(Resources(memory=Memory(limit=2 * G, swap=G)))


def test_files_named_outright_are_written_as_they_are():
    assert v2(Resources(unified={"memory.high": "1G", "io.latency": "8:0 target=1"})) == [
        ("memory.high", "1G"),
        ("io.latency", "8:0 target=1"),
    ]
    for name in ("../memory.max", "memory/max", "..", "memory"):
        with pytest.raises(InvalidRequest, match="must be a file name"):
            v2(Resources(unified={name: "1"}))
    with pytest.raises(InvalidRequest, match="cannot use unified on cgroup v1"):
        v1(Resources(unified={"memory.high": "1"}))


def test_a_page_size_cannot_lead_elsewhere():
    for size in ("../../memory", "2mb", "", "2MB/x"):
        asked = Resources(hugepage_limits=[HugepageLimit(page_size=size, limit=0)])
        with pytest.raises(InvalidRequest, match="invalid huge page size"):
            v1(asked)
        with pytest.raises(InvalidRequest, match="invalid huge page size"):
            v2(asked)


def test_what_v2_lacks_is_said():
    with pytest.raises(NotSupported, match="real-time"):
        v2(Resources(cpu=CPU(realtime_runtime=1000)))
    with pytest.raises(NotSupported, match="leaf"):
        v2(Resources(block_io=BlockIO(leaf_weight=10)))


@pytest.mark.parametrize(
    ("shares", "weight"),
    [(1, 1), (2, 1), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000), (300_000, 10_000)],
)
def test_shares_and_weights_have_the_same_ends_and_defaults(shares, weight):
    assert writes.weight_of_shares(shares) == weight


def test_more_shares_never_weigh_less():
    weights = [writes.weight_of_shares(shares) for shares in range(2, 262_145, 97)]
    assert weights == sorted(weights)


def test_a_number_of_cpus_is_a_quota():
    assert cgroups.quota_of(1_500_000_000) == (150_000, 100_000)
    assert cgroups.quota_of(10_000_000) == (1_000, 100_000)


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("/boxship/4711", "/boxship/4711"),
        ("//boxship/./4711/", "/boxship/4711"),
        ("some/where", "some/where"),
        ("system.slice:boxship:4711", "/system.slice/boxship-4711.scope"),
        (":boxship:4711", "/system.slice/boxship-4711.scope"),
        ("a-b-c.slice:p:n", "/a.slice/a-b.slice/a-b-c.slice/p-n.scope"),
        ("-.slice:p:n", "/p-n.scope"),
        ("user.slice::n", "/user.slice/n.scope"),
        ("user.slice:p:n.slice", "/user.slice/n.slice"),
    ],
)
def test_a_path_is_read_in_either_form(text, folder):
    assert paths.parse(text) == folder


@pytest.mark.parametrize(
    "text",
    [
        "", "/", ".", "..", "/..", "/a/../../etc", "a/..", "/a\nb", "/a\0b", "/" + "a" * 256,
        "/a" * 2000, "../x.slice:p:n", "x.service:p:n", "a--b.slice:p:n", "-a.slice:p:n",
        "s.slice:p:a\nb",
    ],
)  # fmt: skip
def test_a_hostile_path_is_refused(text):
    with pytest.raises(BadCgroupPath):
        paths.parse(text)


def test_a_refused_write_is_tried_again_after_the_rest(tmp_path, monkeypatch):
    """As when both limits rise: memory alone cannot pass memory with swap."""
    limits = {"limit": 10, "swap": 20}

    def write(path: str, value: str) -> None:
        name = path.rpartition(".")[2]
        wanted = {**limits, name: int(value)}
        if wanted["limit"] > wanted["swap"]:
            raise OSError(22, "Invalid argument")
        limits.update(wanted)

    monkeypatch.setattr(files, "write", write)
    files.carry_out([Write("m.limit", "30"), Write("m.swap", "40")], lambda f: f)
    assert limits == {"limit": 30, "swap": 40}
    files.carry_out([Write("m.limit", "5"), Write("m.swap", "6")], lambda f: f)
    assert limits == {"limit": 5, "swap": 6}
    with pytest.raises(InvalidRequest, match='failed to write "9": write m'):
        files.carry_out([Write("m.limit", "9")], lambda f: f)


@pytest.mark.parametrize(
    ("write", "text", "undone"),
    [
        (Write("pids.max", "5"), "max\n", Write("pids.max", "max")),
        (Write("cpu.max", "5 9"), "max 100000\n", Write("cpu.max", "max 100000")),
        (
            Write("io.max", "8:0 rbps=1"),
            "8:16 rbps=9\n",
            Write("io.max", "8:0 rbps=max wbps=max riops=max wiops=max"),
        ),
        (
            Write("io.max", "8:0 rbps=1"),
            "8:0 rbps=9 wbps=max\n",
            Write("io.max", "8:0 rbps=9 wbps=max"),
        ),
        (
            Write("blkio.throttle.read_bps_device", "8:0 1"),
            "",
            Write("blkio.throttle.read_bps_device", "8:0 0"),
        ),
        (
            Write("memory.oom_control", "1"),
            "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n",
            Write("memory.oom_control", "0"),
        ),
        (Write("cpu.max", "1"), None, None),
    ],
)
def test_what_a_write_replaces_can_be_put_back(write, text, undone):
    assert files.previous(write, text) == undone


def test_where_both_versions_are_each_gets_what_it_controls():
    asked = Resources(
        memory=Memory(limit=1),
        pids=Pids(limit=2),
        cpu=CPU(shares=3, cpus="0"),
        unified={"a.b": "c"},
    )
    assert divide(asked, frozenset()) == (asked, Resources())
    old, new = divide(asked, frozenset({"memory", "cpuset"}))
    assert old == Resources(pids=Pids(limit=2), cpu=CPU(shares=3))
    assert new == Resources(memory=Memory(limit=1), cpu=CPU(cpus="0"), unified={"a.b": "c"})
    old, new = divide(asked, frozenset({"cpu", "pids"}))
    assert old == Resources(memory=Memory(limit=1), cpu=CPU(cpus="0"))
    assert new.cpu == CPU(shares=3)
