"""What a tree of control groups promises, asked of every kind this machine has mounted."""

from __future__ import annotations

import errno
import gc
import os
import select
import signal
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count

import pytest
from tests.support.engine import PATIENCE

from boxship.errors import BoxshipError, InvalidRequest
from boxship.runtime import cgroups
from boxship.runtime.cgroups import files, folders, layout
from boxship.runtime.cgroups.errors import CgroupBusy
from boxship.runtime.cgroups.v1 import V1Tree
from boxship.runtime.cgroups.v2 import V2Tree
from boxship.spec.oci.runtime import CPU, DeviceRule, Memory, Pids, Resources

pytestmark = pytest.mark.root
MB = 1 << 20
PARENT = f"/boxship-contract-{os.getpid()}"


LAYOUT = layout.here()
TREES = {
    "detected": cgroups.detect,
    "v1": lambda: V1Tree(LAYOUT.v1),
    "v2": lambda: V2Tree(LAYOUT.v2),
}
MIXED = bool(LAYOUT.v1 and LAYOUT.v2)


@pytest.fixture(params=list(TREES) if MIXED else ["detected"])
def tree(request):
    made = TREES[request.param]()
    yield made
    made.remove_if_empty(PARENT)
    assert not made.open(PARENT).exists()


@pytest.fixture
def made(tree) -> Iterator[Callable[..., cgroups.Cgroup]]:
    """Make groups that are killed and removed at the end."""
    groups: list[cgroups.Cgroup] = []

    def make(resources: Resources | None = None, name: str = "a") -> cgroups.Cgroup:
        groups.append(tree.create(f"{PARENT}/{name}", resources))
        return groups[-1]

    yield make
    for group in groups:
        if group.exists():
            group.kill()
            group.remove()
        assert not group.exists()


def needs(tree, *controllers: str) -> None:
    missing = [name for name in controllers if name not in tree.controllers]
    if missing:
        pytest.skip(f"no {' '.join(missing)} controller in this tree")


def inside(group: cgroups.Cgroup, body: Callable[[], int]) -> int:
    """Run `body` in a child that joins the group as containers do; return its pid."""
    entrances = group.join_files()
    pid = os.fork()
    if pid == 0:
        try:
            for entrance in entrances:
                os.write(entrance, b"0")
            os._exit(body() & 0xFF)
        except OSError as error:
            os._exit(error.errno or 255)
        finally:
            os._exit(255)
    for entrance in entrances:
        os.close(entrance)
    return pid


def sleeper(group: cgroups.Cgroup) -> int:
    """Start a process that waits inside, and return when it is there."""
    pid = inside(group, lambda: time.sleep(60) or 0)
    wait_until(lambda: pid in group.pids())
    return pid


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30 * PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.002)


def exit_of(pid: int) -> int:
    """Return the child's exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_process_that_joins_is_listed_until_it_ends(made):
    group = made()
    assert group.exists()
    assert group.pids() == []
    pid = sleeper(group)
    assert group.pids() == [pid]
    os.kill(pid, signal.SIGKILL)
    assert exit_of(pid) == -signal.SIGKILL
    wait_until(lambda: group.pids() == [])


def test_kill_reaches_everyone_also_frozen_and_in_groups_below(made, tree):
    group, below, beside = made(), made(name="a/below"), made(name="a/beside")
    pids = [sleeper(below), sleeper(beside), sleeper(beside)]
    assert sorted(group.pids()) == sorted(pids)
    if tree.version == 2 or "freezer" in tree.controllers:
        group.freeze()
    group.kill()
    assert [exit_of(pid) for pid in pids] == [-signal.SIGKILL] * 3
    group.remove()
    assert not below.exists()


def test_frozen_processes_stand_still_until_thawed(made, tree):
    if tree.version == 1:
        needs(tree, "freezer")
    group = made()
    read, write = os.pipe()

    def tick() -> int:
        while True:
            os.write(write, b".")
            time.sleep(0.001)

    pid = inside(group, tick)
    os.set_blocking(read, False)
    wait_until(lambda: bool(select.select([read], [], [], 0)[0]))
    assert not group.frozen
    group.freeze()
    assert group.frozen
    with suppress(BlockingIOError):
        while os.read(read, 65536):
            pass
    assert select.select([read], [], [], 0.1)[0] == []
    group.thaw()
    assert not group.frozen
    assert select.select([read], [], [], 30)[0] == [read]
    os.kill(pid, signal.SIGKILL)
    exit_of(pid)
    os.close(read)
    os.close(write)


def test_the_limit_of_processes_holds_and_can_be_changed(made, tree):
    needs(tree, "pids")
    group = made(Resources(pids=Pids(limit=1)))
    assert group.stats().pids.limit == 1

    def fork() -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    assert exit_of(inside(group, fork)) == errno.EAGAIN
    group.update(Resources(pids=Pids(limit=2)))
    assert exit_of(inside(group, fork)) == 0
    group.update(Resources(pids=Pids(limit=-1)))
    assert group.stats().pids.limit is None


def test_memory_limits_rise_and_fall_together(made, tree):
    needs(tree, "memory")
    swap = tree.features().swap_limit

    def both(limit: int, total: int) -> Resources:
        return Resources(memory=Memory(limit=limit, swap=total if swap else None))

    group = made(both(64 * MB, 128 * MB))
    for limit, total in ((256 * MB, 512 * MB), (32 * MB, 48 * MB), (-1, -1), (16 * MB, 16 * MB)):
        group.update(both(limit, total))
        assert group.stats().memory.limit == (None if limit < 0 else limit)


def test_a_refused_update_changes_nothing(made, tree):
    needs(tree, "memory", "pids")
    group = made(Resources(memory=Memory(limit=64 * MB), pids=Pids(limit=5)))
    with pytest.raises(InvalidRequest, match="failed to write"):
        group.update(Resources(memory=Memory(limit=32 * MB), pids=Pids(limit=1 << 40)))
    assert group.stats().memory.limit == 64 * MB
    assert group.stats().pids.limit == 5


def test_who_eats_too_much_is_killed_counted_and_told(made, tree):
    needs(tree, "memory")
    swap = 16 * MB if tree.features().swap_limit else None
    group = made(Resources(memory=Memory(limit=16 * MB, swap=swap)))
    watch = group.oom_watch()
    try:
        assert watch is not None
        assert group.oom_kills() == 0
        assert select.select([watch], [], [], 0)[0] == []

        def eat() -> int:
            return len(bytearray(256 * MB))

        assert exit_of(inside(group, eat)) == -signal.SIGKILL
        assert select.select([watch], [], [], 10)[0] == [watch]
        assert os.read(watch, 4096)
        assert group.oom_kills() == 1
    finally:
        os.close(watch)


def test_processor_time_is_limited_and_counted(made, tree):
    needs(tree, "cpu")
    group = made(Resources(cpu=CPU(shares=512, quota=2_000, period=100_000)))

    def burn() -> int:
        end = time.process_time() + 0.01  # five times what it may have at a time
        while time.process_time() < end:
            pass
        return 0

    assert exit_of(inside(group, burn)) == 0
    seen = group.stats().cpu
    if seen is None:
        pytest.skip("no processor accounting in this tree")
    assert seen.total > 0
    assert seen.periods > 0
    assert seen.throttled_periods > 0
    assert seen.throttled_time > 0
    group.update(Resources(cpu=CPU(quota=-1)))


def test_a_group_may_be_bound_to_one_processor(made, tree):
    needs(tree, "cpuset")
    group = made(Resources(cpu=CPU(cpus="0", mems="0")))
    assert exit_of(inside(group, lambda: len(os.sched_getaffinity(0)))) == 1
    with pytest.raises(InvalidRequest):
        group.update(Resources(cpu=CPU(cpus="4095")))
    with pytest.raises(InvalidRequest):
        group.update(Resources(cpu=CPU(cpus="one")))


def test_only_the_devices_given_can_be_opened_or_made(made, tree, tmp_path):
    if tree.version == 1:
        needs(tree, "devices")
    for name, number in (("null", (1, 3)), ("mem", (1, 1)), ("kmsg", (1, 11))):
        os.mknod(tmp_path / name, stat.S_IFCHR | 0o666, os.makedev(*number))

    def opened(name: str, flags: int = os.O_RDONLY) -> Callable[[], int]:
        return lambda: os.close(os.open(tmp_path / name, flags)) or 0

    def rules(access: str) -> Resources:
        return Resources(
            devices=[DeviceRule(allow=True, type="c", major=1, minor=11, access=access)]
        )

    group = made(Resources())
    assert exit_of(inside(group, opened("null", os.O_RDWR))) == 0
    assert exit_of(inside(group, opened("mem"))) == errno.EPERM
    assert exit_of(inside(group, opened("kmsg"))) == errno.EPERM

    def make_node() -> int:
        return os.mknod(tmp_path / "new", stat.S_IFCHR | 0o666, os.makedev(1, 3)) or 0

    assert exit_of(inside(group, make_node)) == 0
    group.update(rules("r"))
    assert exit_of(inside(group, opened("kmsg"))) == 0
    assert exit_of(inside(group, opened("kmsg", os.O_WRONLY))) == errno.EPERM
    assert exit_of(inside(group, opened("mem"))) == errno.EPERM
    group.update(rules("w"))
    assert exit_of(inside(group, opened("kmsg"))) == errno.EPERM
    assert exit_of(inside(group, opened("kmsg", os.O_WRONLY))) == 0
    group.update(Resources(devices=[DeviceRule(allow=True, access="rwm")]))
    assert exit_of(inside(group, opened("kmsg", os.O_RDWR))) == 0
    group.update(Resources(pids=Pids(limit=-1)))  # says nothing about devices
    assert exit_of(inside(group, opened("kmsg", os.O_RDWR))) == 0


def test_a_group_that_is_used_is_neither_made_anew_nor_removed(made, tree):
    group = made()
    pid = sleeper(group)
    with pytest.raises(CgroupBusy):
        tree.create(group.path)
    with pytest.raises(CgroupBusy):
        group.remove(within=0.05)
    assert group.pids() == [pid]
    group.kill()
    group.remove()  # the process is gone soon; this waits for it
    assert exit_of(pid) == -signal.SIGKILL
    assert not group.exists()
    group.remove()  # nothing left to do is no failure
    group.kill()
    assert (group.pids(), group.oom_watch(), group.oom_kills()) == ([], None, 0)
    assert group.stats().memory is None


def test_what_an_earlier_group_left_behind_does_not_limit_the_next(made, tree):
    needs(tree, "pids")
    made(Resources(pids=Pids(limit=3)))
    made(name="a/below")
    assert made().stats().pids.limit is None


def test_a_group_that_cannot_be_made_leaves_nothing(tree):
    needs(tree, "pids")
    path = f"{PARENT}/deep/er"
    before = open_descriptors()
    with pytest.raises(InvalidRequest, match="failed to write"):
        tree.create(path, Resources(pids=Pids(limit=1 << 40)))
    for gone in (path, f"{PARENT}/deep", PARENT):
        assert not tree.open(gone).exists()
    assert open_descriptors() == before


def test_whichever_step_of_making_fails_nothing_is_left(tree, monkeypatch):
    """Every folder made and every value written fails once, in turn."""
    path, asked = f"{PARENT}/step/by", Resources(devices=[DeviceRule(allow=True, access="r")])
    real = {"mkdir": os.mkdir, "write": files.write}
    gc.collect()  # what others have left shall not be closed meanwhile
    before = open_descriptors()
    for failing in count():
        steps = count()

        def step(what: str, *arguments: object, failing=failing, steps=steps) -> object:
            if next(steps) == failing:
                raise OSError(errno.EIO, "Input/output error")
            return real[what](*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(folders.os, "mkdir", lambda *given, step=step: step("mkdir", *given))
            patch.setattr(files, "write", lambda *given, step=step: step("write", *given))
            with suppress(BoxshipError, OSError):
                tree.create(path, asked).remove()  # some steps are done without
                tree.remove_if_empty(f"{PARENT}/step")
                tree.remove_if_empty(PARENT)
        assert not tree.open(path).exists()
        assert not tree.open(PARENT).exists()
        assert open_descriptors() == before
        if next(steps) <= failing:  # it was never reached
            break
    assert failing > 3


def test_groups_above_stay_while_they_are_used(made, tree):
    made(name="deep/one")
    tree.remove_if_empty(f"{PARENT}/deep")
    assert tree.open(f"{PARENT}/deep").exists()
    tree.open(f"{PARENT}/deep/one").remove()
    tree.remove_if_empty(f"{PARENT}/deep")
    assert not tree.open(f"{PARENT}/deep").exists()


def test_no_descriptor_is_left_open(made, tree):
    before = open_descriptors()
    group = made(Resources())
    way = group.entrance()
    for descriptor in (*group.join_files(), *way.files):
        os.close(descriptor)
    if way.into is not None:
        os.close(way.into)
    if (watch := group.oom_watch()) is not None:
        os.close(watch)
    group.stats()
    group.update(Resources(devices=[DeviceRule(allow=True, access="rwm")]))
    group.kill()
    group.remove()
    assert open_descriptors() == before


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_the_tree_of_v2_is_entered_by_clone(made, tree):
    group = made()
    way = group.entrance()
    for descriptor in way.files:
        os.close(descriptor)
    entrance = way.into
    if entrance is None:
        assert tree.version == 1
        assert not LAYOUT.v2 or isinstance(tree, V1Tree)
        return
    try:
        flags = 0x200000000  # CLONE_INTO_CGROUP
        arguments = struct.pack("8Q3Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, entrance)
        from boxship.kernel.syscalls import syscall

        pid = syscall("clone3", arguments, len(arguments))
        if pid == 0:
            os._exit(0 if os.getpid() in group.pids() else 1)
        assert exit_of(pid) == 0
    finally:
        os.close(entrance)


def test_groups_made_at_the_same_time_share_what_is_above_them(tree):
    """Each starter of the engine makes groups, also the first of them all."""
    rounds, at_once = 15, 4
    for number in range(rounds):
        above = f"{PARENT}/shared-{number}"
        groups = [tree.open(f"{above}/{one}") for one in range(at_once)]
        ready, go = os.pipe()

        def create(path: str, gate: int = ready, end: int = go) -> int:
            os.close(end)
            os.read(gate, 1)
            inside(tree.create(path), lambda: 0)
            return 0

        pids = [forked(lambda group=group: create(group.path)) for group in groups]
        os.close(ready)
        os.close(go)
        codes = [exit_of(pid) for pid in pids]
        for group in groups:
            if group.exists():
                group.remove()
        tree.remove_if_empty(above)
        assert codes == [0] * at_once


def forked(body: Callable[[], int]) -> int:
    """Do something in another process, and return its pid; 99 tells that it failed."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            code = body()
        finally:
            os._exit(code)
    return pid
