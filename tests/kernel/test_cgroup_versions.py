"""What is particular to one version of control groups."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from boxship.errors import InvalidRequest
from boxship.kernel import bpf
from boxship.kernel.mounts import mount, umount
from boxship.kernel.namespaces import unshare
from boxship.runtime.cgroups import detect, layout
from boxship.runtime.cgroups.errors import ControllerMissing
from boxship.runtime.cgroups.hybrid import HybridTree
from boxship.runtime.cgroups.layout import Hierarchy
from boxship.runtime.cgroups.v1 import V1Tree
from boxship.runtime.cgroups.v2 import V2Tree
from boxship.spec.oci.runtime import (
    CPU,
    BlockIO,
    DeviceRule,
    Memory,
    Pids,
    Resources,
    ThrottleDevice,
)

pytestmark = pytest.mark.root
CLONE_NEWNS, CLONE_NEWCGROUP = 0x00020000, 0x02000000
FOUND = layout.here()
PARENT = f"/boxship-versions-{os.getpid()}"
v1_only = pytest.mark.skipif(not FOUND.v1, reason="no cgroup v1 here")
v2_only = pytest.mark.skipif(not FOUND.v2, reason="no cgroup v2 here")


def in_child(body: Callable[[], object]) -> int:
    """Run `body` in a child; return its exit code, 0 if it raised nothing."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", flush=True)
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@v2_only
def test_device_programs_are_replaced_not_piled_up():
    tree = V2Tree(FOUND.v2)
    group = tree.create(f"{PARENT}/a", Resources())
    folder = os.open(FOUND.v2.folder(group.path), os.O_RDONLY)
    try:
        for _ in range(3):
            group.update(Resources(devices=[DeviceRule(allow=True, access="rwm")]))
            programs = bpf.attached(folder, bpf.CGROUP_DEVICE)
            for program in programs:
                os.close(program)
            assert len(programs) == 1
    finally:
        os.close(folder)
        group.remove()
        tree.remove_if_empty(PARENT)


@v2_only
def test_in_a_delegated_tree_our_own_processes_make_room(tmp_path):
    """As in a container with a cgroup namespace: its root has processes, ours among them."""
    tree = V2Tree(FOUND.v2)
    outer = tree.create(f"{PARENT}/outer")

    def engine() -> None:
        outer.add(os.getpid())
        unshare(CLONE_NEWCGROUP | CLONE_NEWNS)
        mount("none", "/", flags=0x44000)  # MS_REC | MS_PRIVATE
        mount("none", str(tmp_path), "cgroup2")
        nested = V2Tree(Hierarchy(str(tmp_path), "", frozenset(), True))
        group = nested.create("/inner/1", Resources())
        handed_down = Path(tmp_path, "inner/cgroup.subtree_control").read_text().split()
        assert set(handed_down) == nested.controllers
        assert Path(tmp_path, "cgroup.procs").read_text() == ""
        assert str(os.getpid()) in Path(tmp_path, "init/cgroup.procs").read_text().split()
        group.remove()
        umount(str(tmp_path))

    try:
        assert in_child(engine) == 0
    finally:
        outer.kill()
        outer.remove()
        tree.remove_if_empty(PARENT)


@v2_only
def test_a_relative_path_lies_below_our_own_group():
    own = Hierarchy(FOUND.v2.mount, f"{PARENT}/own", frozenset(), True)
    above = V2Tree(FOUND.v2).create(f"{PARENT}/own")
    try:
        group = V2Tree(own).create("mine/1")
        assert V2Tree(FOUND.v2).open(f"{PARENT}/own/mine/1").exists()
        group.remove()
    finally:
        above.remove()
        V2Tree(FOUND.v2).remove_if_empty(PARENT)


@v1_only
def test_every_group_has_processors_although_its_parents_were_just_made():
    """cpuset refuses whoever joins a group without processors and memory nodes."""
    tree = V1Tree([one for one in FOUND.v1 if "cpuset" in one.controllers])
    group = tree.create(f"{PARENT}/deep/er")
    group.update(Resources(cpu=CPU(cpus="0")))
    sibling = tree.create(f"{PARENT}/deep/other")
    try:
        assert group.read("cpuset.cpus") == "0\n"
        assert sibling.read("cpuset.cpus") != "\n"
        assert in_child(lambda: sibling.add(os.getpid())) == 0
    finally:
        group.remove()
        sibling.remove()
        tree.remove_if_empty(f"{PARENT}/deep")
        tree.remove_if_empty(PARENT)


@pytest.mark.skipif(not (FOUND.v1 and FOUND.v2), reason="not both versions here")
def test_where_v1_has_no_device_controller_the_program_of_v2_does_its_work():
    v1 = V1Tree([one for one in FOUND.v1 if "devices" not in one.controllers])
    tree = HybridTree(v1, V2Tree(FOUND.v2, alone=False))
    group = tree.create(f"{PARENT}/mixed", Resources())

    def open_as_member() -> None:
        group.add(os.getpid())
        os.close(os.open("/dev/kmsg", os.O_RDONLY))

    try:
        assert in_child(open_as_member) == 1
        group.update(Resources(devices=[DeviceRule(allow=True, type="c", major=1, minor=11)]))
        assert in_child(open_as_member) == 0
    finally:
        group.remove()
        tree.remove_if_empty(PARENT)


def disk() -> tuple[int, int]:
    """Return the number of a whole disk."""
    for folder in sorted(Path("/sys/block").iterdir()):
        if (folder / "device").exists():
            major, minor = (folder / "dev").read_text().split(":")
            return int(major), int(minor)
    pytest.skip("no disk here")


def throttled(rate: int) -> Resources:
    major, minor = disk()
    device = ThrottleDevice(major=major, minor=minor, rate=rate)
    return Resources(block_io=BlockIO(throttle_write_bps_device=[device]))


def test_writing_to_a_disk_is_throttled_and_the_throttle_taken_away(tmp_path):
    tree = V1Tree(FOUND.v1) if FOUND.v1 else V2Tree(FOUND.v2)
    if not tree.controllers & {"io", "blkio"}:
        pytest.skip("no controller of block devices")
    file = "blkio.throttle.write_bps_device" if FOUND.v1 else "io.max"
    name = ":".join(map(str, disk()))
    group = tree.create(f"{PARENT}/io", throttled(1 << 20))
    try:
        (line,) = group.read(file).splitlines()
        assert line.startswith(name)
        assert str(1 << 20) in line
        wrong = throttled(2 << 20)
        wrong.block_io.throttle_read_bps_device = [ThrottleDevice(major=4095, minor=0, rate=1)]
        with pytest.raises(InvalidRequest, match="failed to write"):
            group.update(wrong)
        assert group.read(file).splitlines() == [line]
        group.update(throttled(0))
        assert name not in group.read(file)
    finally:
        group.remove()
        tree.remove_if_empty(PARENT)


@pytest.mark.skipif(bool(FOUND.v1), reason="the controllers are v1's here")
def test_v2_holds_what_docker_asks_for():
    tree = V2Tree(FOUND.v2)
    asked = Resources(
        memory=Memory(limit=64 << 20, swap=96 << 20, reservation=32 << 20),
        cpu=CPU(shares=512, quota=50_000, period=100_000, cpus="0", mems="0"),
        pids=Pids(limit=50),
        block_io=BlockIO(weight=500),
        unified={"memory.high": "50331648"},
    )
    group = tree.create(f"{PARENT}/all", asked)
    try:
        wanted = {
            "memory.max": "67108864",
            "memory.swap.max": "33554432",
            "memory.low": "33554432",
            "memory.high": "50331648",
            "cpu.weight": "59",
            "cpu.max": "50000 100000",
            "cpuset.cpus": "0",
            "cpuset.mems": "0",
            "pids.max": "50",
            "io.weight": "default 4950",
        }
        assert {file: group.read(file).strip() for file in wanted} == wanted
        group.update(Resources(cpu=CPU(period=200_000), memory=Memory(swap=64 << 20)))
        assert group.read("cpu.max").strip() == "50000 200000"
        assert group.read("memory.swap.max").strip() == "0"
        group.update(Resources(cpu=CPU(quota=-1), memory=Memory(limit=-1)))
        assert group.read("cpu.max").strip() == "max 200000"
        assert group.read("memory.max").strip() == "max"
        with pytest.raises(ControllerMissing, match="the nothing cgroup controller"):
            group.update(Resources(unified={"nothing.max": "1"}))
    finally:
        group.remove()
        tree.remove_if_empty(PARENT)


def test_a_limit_below_what_is_used_can_be_refused(tmp_path):
    tree = detect()
    if "memory" not in tree.controllers:
        pytest.skip("no memory controller")
    group = tree.create(f"{PARENT}/used")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        group.add(os.getpid())
        kept = bytearray(os.urandom(1 << 20) * 32)
        os.write(writer, b".")
        os.read(os.pipe()[0], len(kept[:1]))
        os._exit(0)
    try:
        os.read(reader, 1)
        with pytest.raises(InvalidRequest, match="unable to set memory limit to 8388608"):
            group.update(Resources(memory=Memory(limit=8 << 20, check_before_update=True)))
        assert group.stats().memory.limit is None
        assert group.stats().memory.usage > 32 << 20
    finally:
        os.close(reader)
        os.close(writer)
        group.kill()
        os.waitpid(pid, 0)
        group.remove()
        tree.remove_if_empty(PARENT)
