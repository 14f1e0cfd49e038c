"""What is particular to one version of control groups."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from boxship.kernel import bpf
from boxship.kernel.mounts import mount, umount
from boxship.kernel.namespaces import unshare
from boxship.runtime.cgroups import layout
from boxship.runtime.cgroups.hybrid import HybridTree
from boxship.runtime.cgroups.layout import Hierarchy
from boxship.runtime.cgroups.v1 import V1Tree
from boxship.runtime.cgroups.v2 import V2Tree
from boxship.spec.oci.runtime import CPU, DeviceRule, Resources

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
