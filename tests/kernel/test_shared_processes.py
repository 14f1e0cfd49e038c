"""A container in another's pid namespace: what it sees, and what the other sees of it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.boxes import USUAL_CAPS, Boxes, boxes
from tests.support.planned import PlannedRuntime

from boxship.kernel import namespaces
from boxship.runtime import procfs
from boxship.runtime.dividing import SECOND
from boxship.runtime.errors import StartFailed
from boxship.runtime.native import NativeRuntime
from boxship.runtime.plain import PlainExecutor
from boxship.spec.oci import runtime as oci

pytestmark = pytest.mark.root
RUNTIMES = {
    "table": NativeRuntime,
    "plain": lambda: NativeRuntime(PlainExecutor()),
    "planned": PlannedRuntime,
}


@pytest.fixture(params=list(RUNTIMES))
def shared(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    with boxes(RUNTIMES[request.param]()) as made:
        yield made


@pytest.fixture(params=["named", "copied"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the proc filesystem comes about: by this kernel's best means, or an older one's."""
    if request.param == "copied":
        monkeypatch.setattr(procfs, "can_be_named", lambda: False)
    elif not procfs.can_be_named():
        pytest.skip("this kernel makes a proc filesystem of its maker's processes only")
    return str(request.param)


def by_path(box: Boxes, first: str) -> dict[str, object]:
    """Ask for the pid namespace of a container that runs."""
    spaces = [oci.Namespace(type=kind) for kind in ("mount", "uts", "ipc", "network", "cgroup")]
    spaces.append(oci.Namespace(type="pid", path=f"/proc/{box.running[first].pid}/ns/pid"))
    return {"namespaces": spaces}


def test_it_sees_the_others_processes_and_itself(shared: Boxes, way: str) -> None:
    first = shared.start(shared.spec("sleep", "60"))
    script = "ps; readlink /proc/1/ns/pid; readlink /proc/self/ns/pid; cat /proc/self/comm"
    done = shared.run("sh", "-c", script, linux=by_path(shared, first))
    assert done.code == 0, done.output
    *processes, one, own, comm = done.lines
    assert any(line.split()[0] == "1" and "sleep 60" in line for line in processes), way
    assert (one, comm) == (own, "cat")


def test_its_proc_is_protected_like_any(shared: Boxes, way: str) -> None:
    first = shared.start(shared.spec("sleep", "60"))
    script = "grep ' /proc ' /proc/self/mountinfo; wc -c < /proc/timer_list; echo x > /proc/sys/x"
    done = shared.run("sh", "-c", script, linux=by_path(shared, first))
    options = done.lines[0].split()[5].split(",")
    assert {"rw", "nosuid", "nodev", "noexec"} <= set(options), way
    assert done.lines[1] == "0"
    assert done.code != 0


def test_a_terminal_is_its_own(shared: Boxes, way: str) -> None:
    first = shared.start(shared.spec("sleep", "60"))
    done = shared.run(
        "sh", "-c", "tty; stty size; ps -o pid,sid,tty | grep -c pts",
        process={"terminal": True}, linux=by_path(shared, first),
        request={"console_size": (21, 93)},
    )  # fmt: skip
    assert done.lines[:2] == ["/dev/pts/0", "21 93"], way


def test_the_namespace_may_come_as_a_descriptor(shared: Boxes, way: str) -> None:
    first = shared.start(shared.spec("sleep", "60"))
    space = namespaces.open_namespace(shared.running[first].pid, "pid")
    try:
        assert "sleep 60" in shared.run("ps", request={"join": {"pid": space}}).output, way
    finally:
        os.close(space)


def test_a_program_that_is_not_there_is_told(shared: Boxes, way: str) -> None:
    first = shared.start(shared.spec("sleep", "60"))
    with pytest.raises(StartFailed, match="executable file not found") as caught:
        shared.run("absent", linux=by_path(shared, first))
    assert caught.value.exit_code == 127, way


def test_without_a_proc_to_copy_the_start_is_refused(
    box: Boxes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procfs, "can_be_named", lambda: False)
    bare = box.spec("sleep", "60")
    bare.mounts = [mount for mount in bare.mounts if mount.type != "proc"]
    assert bare.linux is not None
    bare.linux.masked_paths, bare.linux.readonly_paths = [], []
    first = box.start(bare)
    with pytest.raises(StartFailed, match="has no /proc of its own"):
        box.run("true", linux=by_path(box, first))


def test_what_is_mounted_at_proc_is_looked_at(box: Boxes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another's proc filesystem, or something like one, is not taken for a container's own."""
    monkeypatch.setattr(procfs, "can_be_named", lambda: False)
    caps = [*USUAL_CAPS, "CAP_SYS_ADMIN"]
    script = (
        "mount -t tmpfs x /proc; mkdir -p /proc/1/ns; ln -s $1 /proc/1/ns/pid; touch /ready; "
        "sleep 60"
    )
    spec = box.spec("sh", "-c", script, "sh", "pid:[1]", caps=caps, linux={"seccomp": None})
    first = box.start(spec)
    pid = box.running[first].pid
    with ExitStack() as held:
        space = namespaces.open_namespace(pid, "pid")
        held.callback(os.close, space)
        deadline = time.monotonic() + 60
        while not os.path.exists(f"/proc/{pid}/root/ready"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert os.readlink(f"/proc/{pid}/root/proc/1/ns/pid") == "pid:[1]"
        with pytest.raises(StartFailed, match="has no /proc of its own"):
            procfs.shared(space, held)


def noted_calls(native: NativeRuntime, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the system calls of what is planned from now on, by name, as they are planned."""
    calls: list[str] = []
    plan = native.plans.first

    def noted(*arguments: Any, **options: Any) -> Any:
        made = plan(*arguments, **options)
        calls.extend(call.name for call in made.program.calls)
        return made

    monkeypatch.setattr(native.plans, "first", noted)
    return calls


def test_the_second_process_comes_last(
    box: Boxes, native: NativeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the plan, nothing that takes rights comes after the process that others can see."""
    first = box.start(box.spec("sleep", "60"))
    calls = noted_calls(native, monkeypatch)
    box.start(box.spec("sleep", "60", linux=by_path(box, first)))
    after = calls[calls.index("clone") :]
    assert set(after) <= {
        "clone", "=", "exit_group", "setsid", "prctl", "seccomp", "close_range", "execve", "write",
    }  # fmt: skip
    before = calls[: calls.index("clone")]
    assert {"setresuid", "capset", "pivot_root", "move_mount"} <= set(before)


@pytest.mark.parametrize("wait", [0, 0.3], ids=["before it is there", "when it is there"])
def test_nobodys_number_is_taken_for_the_second(
    box: Boxes, native: NativeRuntime, monkeypatch: pytest.MonkeyPatch, wait: float
) -> None:
    """Who traces the second process can write its number, where we read it."""
    executor = native._executor
    launch = executor.launch

    def forged(*arguments: Any) -> Any:
        pid, memory = launch(*arguments)
        time.sleep(wait)
        monkeypatch.setattr(memory, "scratch", lambda name: 1 if name == SECOND.name else 0)
        return pid, memory

    name = box.start(box.spec("sleep", "60"))
    monkeypatch.setattr(executor, "launch", forged)
    with pytest.raises(StartFailed, match="another's process"):
        box.exec(name, box.spec("sleep", "60"), "true")
    take_unknown(box.running[name].pid)


def take_unknown(init: int) -> None:
    """Take a second process that nobody knows of, as shims do: the container's end waits for it."""
    space = os.readlink(f"/proc/{init}/ns/pid")
    for pid in map(int, Path("/proc/thread-self/children").read_text().split()):
        with contextlib.suppress(OSError):
            if pid != init and os.readlink(f"/proc/{pid}/ns/pid") == space:
                os.waitpid(pid, 0)


def forbidding_clone(**more: Any) -> oci.Seccomp:
    """A profile under which a program cannot be divided: nobody may make processes."""
    rule = oci.Syscall(names=["clone", "clone3", "fork", "vfork"], action="SCMP_ACT_ERRNO")
    return oci.Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=[rule], **more)


@pytest.mark.parametrize("quiet", [False, True], ids=["loaded with rights", "no new privileges"])
def test_a_filter_that_forbids_processes_hinders_nobody_from_joining(
    shared: Boxes, quiet: bool
) -> None:
    """The second process is made before such a filter is there; the program is under it."""
    first = shared.start(shared.spec("sleep", "60"))
    linux = {**by_path(shared, first), "seccomp": forbidding_clone()}
    process = {"no_new_privileges": quiet, "user": oci.User(uid=7, gid=8)}
    status = ("grep", "-E", "^(Seccomp|Uid|NoNewPrivs|CapEff):", "/proc/self/status")
    done = shared.run(*status, process=process, linux=linux)
    caps = "CapEff:\t0000000000000000"
    want = ["Uid:\t7\t7\t7\t7", caps, f"NoNewPrivs:\t{int(quiet)}", "Seccomp:\t2"]
    assert done.lines == want
    done = shared.run("sh", "-c", "true & wait; echo on", process=process, linux=linux)
    assert "on" not in done.lines
    assert done.code != 0
    # and so does an exec into a container whose filter is like that
    spec = shared.spec("sleep", "60", process=process, linux={"seccomp": forbidding_clone()})
    assert shared.exec(shared.start(spec), spec, *status).lines == want


@pytest.mark.parametrize("quiet", [False, True])
def test_what_such_a_filter_changes_of_the_order(
    box: Boxes, native: NativeRuntime, monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    """All is set up before the second process is made; with rights is only what gives them up."""
    first = box.start(box.spec("sleep", "60"))
    calls = noted_calls(native, monkeypatch)
    linux = {**by_path(box, first), "seccomp": forbidding_clone()}
    box.start(box.spec("sleep", "60", linux=linux, process={"no_new_privileges": quiet}))
    divided = calls.index("clone")
    assert {"pivot_root", "move_mount"} <= set(calls[:divided])
    assert not {"mount", "move_mount", "pivot_root", "setns"} & set(calls[divided:])
    assert ("capset" in calls[:divided]) is quiet
    assert calls.index("seccomp") > divided


def test_hooks_of_the_hosts_are_told_of_the_process_that_joined(
    shared: Boxes, tmp_path: Path
) -> None:
    """They are run once the second process is there, and before it has entered its root."""
    (shared.folder / "rootfs").mkdir()
    first = shared.start(shared.spec("sleep", "60"))
    script = (
        f"cat > {tmp_path}/state; pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' {tmp_path}/state); "
        f"readlink /proc/$pid/ns/pid > {tmp_path}/space; readlink /proc/$pid/root > {tmp_path}/root"
    )
    hook = oci.Hook(path="/bin/sh", args=["sh", "-c", script], env=["PATH=/usr/bin:/bin"])
    done = shared.run(
        "sh", "-c", "ps; readlink /proc/self/ns/pid",
        linux=by_path(shared, first), hooks=oci.Hooks(create_runtime=[hook]),
    )  # fmt: skip
    assert done.code == 0, done.output
    assert any("sleep 60" in line for line in done.lines)
    assert (tmp_path / "space").read_text().strip() == done.lines[-1]
    assert (tmp_path / "root").read_text().strip() == "/"
    refusing = oci.Hook(path="/bin/false", args=["false"])
    with pytest.raises(StartFailed, match="hook"):
        shared.run("true", linux=by_path(shared, first), hooks=oci.Hooks(create_runtime=[refusing]))
