"""Which trees are mounted, as the kernel's lists tell it; and statistics as its files do."""

from __future__ import annotations

import pytest

from boxship.runtime.cgroups import layout, stats, tree_of
from boxship.runtime.cgroups.errors import CgroupUnavailable
from boxship.runtime.cgroups.features import Features, warnings
from boxship.runtime.cgroups.layout import Hierarchy

PURE = "24 1 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
OLD = """\
30 1 0:25 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct
32 30 0:27 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory,clone_children
33 30 0:28 / /sys/fs/cgroup/systemd rw shared:12 - cgroup cgroup rw,xattr,name=systemd
34 30 0:29 / /mnt/other rw - cgroup cgroup rw,memory
35 30 0:30 / /sys/fs/cgroup/net_cls rw - cgroup cgroup rw,net_cls
"""
OLD_OWN = "12:cpu,cpuacct:/\n5:memory:/job\n1:name=systemd:/user.slice\n3:net_cls:/\n"


def test_pure_v2():
    found = layout.read(PURE, "0::/system.slice/x.service\n")
    assert found.v1 == ()
    assert found.v2 == Hierarchy("/sys/fs/cgroup", "/system.slice/x.service", frozenset(), True)


def test_v1_has_each_controller_once_and_named_trees_too():
    found = layout.read(OLD, OLD_OWN)
    assert {tree.mount: set(tree.controllers) for tree in found.v1} == {
        "/sys/fs/cgroup/cpu,cpuacct": {"cpu", "cpuacct"},
        "/sys/fs/cgroup/memory": {"memory"},
        "/sys/fs/cgroup/systemd": {"name=systemd"},
        "/sys/fs/cgroup/net_cls": {"net_cls"},
    }
    assert found.v2 is None
    memory = next(tree for tree in found.v1 if "memory" in tree.controllers)
    assert memory.folder("/boxship/1") == "/sys/fs/cgroup/memory/boxship/1"
    assert memory.folder("boxship/1") == "/sys/fs/cgroup/memory/job/boxship/1"


def test_hybrid_is_both():
    lines = OLD + "36 30 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    found = layout.read(lines, OLD_OWN + "0::/\n")
    assert found.v2 is not None
    assert found.v2.mount == "/sys/fs/cgroup/unified"
    assert len(found.v1) == 4


def test_what_lies_on_top_of_a_mount_point_counts():
    covered = PURE + "40 24 0:40 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    assert layout.read(covered, "0::/\n").v2 is None


def test_a_nested_engine_sees_its_own_part_of_the_tree():
    nested = "24 1 0:22 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    found = layout.read(nested, "0::/docker/abc/init\n")
    assert found.v2 is not None
    assert found.v2.folder("box/1") == "/sys/fs/cgroup/init/box/1"
    outside = layout.read(nested, "0::/../other\n")
    assert outside.v2 is not None
    assert outside.v2.folder("box/1") == "/sys/fs/cgroup/box/1"


def test_a_mount_point_with_a_space_is_read():
    found = layout.read("24 1 0:22 / /a\\040b rw - cgroup2 cgroup2 rw\n", "0::/\n")
    assert found.v2 is not None
    assert found.v2.mount == "/a b"


def test_no_tree_at_all_is_said():
    with pytest.raises(CgroupUnavailable, match="no cgroup filesystem"):
        tree_of(layout.read("", "0::/\n"))


def test_warnings_are_those_of_docker_info():
    assert warnings(Features(unified=True, memory_limit=True))[0] == (
        "WARNING: No swap limit support"
    )
    assert "WARNING: No io.max (rbps) support" in warnings(Features(unified=True))
    assert "WARNING: No blkio weight support" in warnings(Features())


def reader(**texts):
    return lambda file: texts.get(file.replace(".", "_"))


def test_v1_statistics():
    read = reader(
        cpuacct_usage="3000\n",
        cpuacct_usage_percpu="1000 2000 \n",
        cpuacct_stat="user 7\nsystem 5\n",
        cpu_stat="nr_periods 4\nnr_throttled 3\nthrottled_time 99\n",
        memory_usage_in_bytes="4096\n",
        memory_max_usage_in_bytes="8192\n",
        memory_limit_in_bytes="9223372036854771712\n",
        memory_failcnt="2\n",
        memory_stat="cache 1\ntotal_cache 2\n",
        pids_current="3\n",
        pids_max="max\n",
        blkio_throttle_io_service_bytes_recursive="8:0 Read 10\n8:0 Total 10\nTotal 10\n",
        blkio_throttle_io_serviced_recursive="8:0 Read 1\n",
    )
    cpu = stats.CpuStats(3000, 70_000_000, 50_000_000, (1000, 2000), 4, 3, 99)
    assert stats.cpu_v1(read) == cpu
    memory = stats.MemoryStats(4096, 8192, None, 2, {"cache": 1, "total_cache": 2})
    assert stats.memory_v1(read) == memory
    assert stats.pids(read) == stats.PidsStats(3, None)
    blkio = stats.blkio_v1(read)
    assert blkio is not None
    assert blkio.service_bytes[0] == stats.BlkioEntry(8, 0, "Read", 10)
    assert len(blkio.service_bytes) == 2
    assert blkio.serviced == (stats.BlkioEntry(8, 0, "Read", 1),)


def test_v2_statistics():
    read = reader(
        cpu_stat="usage_usec 9\nuser_usec 6\nsystem_usec 3\nnr_periods 2\nnr_throttled 1\n"
        "throttled_usec 4\n",
        memory_current="4096\n",
        memory_peak="8192\n",
        memory_max="65536\n",
        memory_events="low 0\noom 2\noom_kill 1\n",
        memory_stat="anon 5\nfile 6\n",
        pids_current="1\n",
        pids_max="10\n",
        io_stat="8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n8:16 \n",
    )
    assert stats.cpu_v2(read) == stats.CpuStats(9000, 6000, 3000, (), 2, 1, 4000)
    memory = stats.MemoryStats(4096, 8192, 65536, 2, {"anon": 5, "file": 6})
    assert stats.memory_v2(read) == memory
    assert stats.pids(read) == stats.PidsStats(1, 10)
    io = stats.io_v2(read)
    assert io is not None
    entry = stats.BlkioEntry
    assert io.service_bytes == (entry(8, 0, "read", 1), entry(8, 0, "write", 2))
    assert io.serviced == (entry(8, 0, "read", 3), entry(8, 0, "write", 4))


def test_what_no_controller_counts_is_none():
    nothing = reader()
    assert stats.cpu_v1(nothing) is stats.cpu_v2(nothing) is stats.pids(nothing) is None
    assert stats.memory_v1(nothing) is stats.memory_v2(nothing) is None
    assert stats.blkio_v1(nothing) is stats.io_v2(nothing) is None
