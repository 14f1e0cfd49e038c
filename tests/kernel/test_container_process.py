"""Who a container's programs are, what they may do, and how further ones come in."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import sys
import time
from pathlib import Path

import pytest
from tests.support.boxes import SPACES, USUAL_CAPS, Boxes

from boxship.kernel import namespaces
from boxship.kernel.capabilities import bits
from boxship.runtime import cgroups, hooks
from boxship.runtime.api import CreateRequest, Stdio
from boxship.runtime.errors import StartFailed, WrongState
from boxship.runtime.native import NativeRuntime
from boxship.spec.oci import runtime as oci

pytestmark = pytest.mark.root
STATUS = "grep -E 'Cap|Uid|Gid|Groups|Seccomp:|NoNew' /proc/self/status"


def status(output: str) -> dict[str, str]:
    return {key: " ".join(value.split()) for key, _, value in
            (line.partition(":") for line in output.splitlines())}  # fmt: skip


# -- B: identity


def test_sec_20_inheritable_capabilities_are_none_in_run_and_exec(box: Boxes) -> None:
    spec = box.spec("sleep", "60")
    name = box.start(spec)
    for output in (
        box.run("sh", "-c", STATUS).output,
        box.exec(name, spec, "sh", "-c", STATUS).output,
    ):
        found = status(output)
        assert int(found["CapInh"], 16) == int(found["CapAmb"], 16) == 0
        assert int(found["CapEff"], 16) == int(found["CapBnd"], 16) == bits(USUAL_CAPS)


def test_sec_21_groups_are_those_given(box: Boxes) -> None:
    user = oci.User(uid=1000, gid=1001, additional_gids=[1001, 5, 27])
    found = status(box.run("sh", "-c", STATUS, process={"user": user}).output)
    assert (found["Uid"], found["Gid"]) == ("1000 " * 3 + "1000", "1001 " * 3 + "1001")
    assert set(found["Groups"].split()) == {"1001", "5", "27"}
    assert int(found["CapEff"], 16) == int(found["CapPrm"], 16) == 0


@pytest.mark.parametrize("uid", [1 << 31, (1 << 32) - 1, 1 << 32, -1])
def test_sec_22_ids_that_wrap_are_refused(box: Boxes, uid: int) -> None:
    with pytest.raises(StartFailed):
        box.run("id", process={"user": oci.User(uid=uid, gid=0)})


def test_sec_24_an_exec_is_the_user_asked_for(box: Boxes) -> None:
    spec = box.spec("sleep", "60")
    name = box.start(spec)
    for uid in (0, 1, 7, 10, 99, 1000, 65534, 100000):
        done = box.exec(name, spec, "id", "-u", user=oci.User(uid=uid, gid=uid))
        assert done.output == f"{uid}\n"


def test_ambient_capabilities_are_raised_when_asked_for(box: Boxes) -> None:
    some = ["CAP_NET_BIND_SERVICE"]
    rights = oci.Capabilities(bounding=some, permitted=some, effective=some, inheritable=some,
                              ambient=some)  # fmt: skip
    process = {"user": oci.User(uid=9, gid=9), "capabilities": rights}
    found = status(box.run("sh", "-c", STATUS, process=process).output)
    assert int(found["CapAmb"], 16) == int(found["CapEff"], 16) == 1 << 10


def test_no_new_privileges_is_set_with_the_filter(box: Boxes) -> None:
    found = status(box.run("sh", "-c", STATUS, process={"no_new_privileges": True}).output)
    assert (found["NoNewPrivs"], found["Seccomp"]) == ("1", "2")


def test_sec_12_dangerous_calls_are_refused_by_default(box: Boxes) -> None:
    """Without the filter the same capabilities would let a user namespace be made."""
    if not os.path.exists("/usr/bin/unshare"):
        pytest.skip("no unshare")
    done = box.run("mount", "-t", "tmpfs", "x", "/tmp", caps=[*USUAL_CAPS])
    assert done.code != 0


def test_a_folder_that_only_the_user_may_enter_is_entered(box: Boxes) -> None:
    folder = box.image / "home"
    folder.mkdir()
    os.chown(folder, 1000, 1000)
    folder.chmod(0o700)
    process = {"user": oci.User(uid=1000, gid=1000), "cwd": "/home"}
    assert box.run("pwd", process=process, caps=[]).output == "/home\n"


# -- namespaces


def test_its_namespaces_are_new(box: Boxes) -> None:
    name = box.start(box.spec("sleep", "60"))
    pid = box.running[name].pid
    for kind in SPACES:
        assert not namespaces.same(pid, "self", kind)


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts", "cgroup"])
def test_a_namespace_can_stay_the_hosts(box: Boxes, kind: str) -> None:
    name = box.start(box.spec("sleep", "60", spaces=[k for k in SPACES if k != kind]))
    assert namespaces.same(box.running[name].pid, "self", kind)


@pytest.mark.parametrize("kind", ["pid", "network", "ipc", "uts"])
def test_a_namespace_can_be_anothers(box: Boxes, kind: str) -> None:
    first = box.start(box.spec("sleep", "60"))
    descriptor = namespaces.open_namespace(box.running[first].pid, kind)
    joined = {"hostname": ""} if kind == "uts" else {}
    second = box.start(box.spec("sleep", "60", **joined), join={kind: descriptor})
    os.close(descriptor)
    one, two = box.running[first].pid, box.running[second].pid
    assert namespaces.same(one, two, kind)
    assert not namespaces.same(one, two, "mount")


def test_a_namespace_can_be_joined_by_path(box: Boxes) -> None:
    first = box.start(box.spec("sleep", "60"))
    spaces = [oci.Namespace(type=kind) for kind in SPACES if kind != "ipc"]
    spaces.append(oci.Namespace(type="ipc", path=f"/proc/{box.running[first].pid}/ns/ipc"))
    second = box.start(box.spec("sleep", "60", linux={"namespaces": spaces}))
    assert namespaces.same(box.running[first].pid, box.running[second].pid, "ipc")


def test_a_container_in_anothers_pid_namespace_can_be_entered(box: Boxes) -> None:
    first = box.start(box.spec("sleep", "60"))
    descriptor = namespaces.open_namespace(box.running[first].pid, "pid")
    spec = box.spec("sleep", "61")
    second = box.start(spec, join={"pid": descriptor})
    os.close(descriptor)
    assert "sleep 60" in box.exec(second, spec, "ps").output


# -- from create to the end


def test_created_and_started_are_two_steps(box: Boxes, native: NativeRuntime) -> None:
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with box.root() as root:
        request = CreateRequest(id="two-steps", spec=box.spec("echo", "ran"),
                                bundle=str(box.folder), root=root,
                                stdio=Stdio(None, writing, writing))  # fmt: skip
        init = native.create(request)
    os.close(writing)
    os.set_blocking(reading, False)
    time.sleep(0.05)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    os.set_blocking(reading, True)
    native.start(init)
    assert os.read(reading, 10) == b"ran\n"
    os.close(reading)
    with pytest.raises(WrongState):
        native.start(init)
    box.running["two-steps"] = init
    assert box.end("two-steps", kill=False) == 0


def test_a_start_that_fails_leaves_nothing(box: Boxes) -> None:
    before = (len(os.listdir("/proc/self/fd")), groups(), children())
    for words in (("absent",), ("/tmp",)):
        with pytest.raises(StartFailed):
            box.run(*words)
    with pytest.raises(StartFailed):
        box.run("true", process={"terminal": True, "cwd": "/etc/../proc/self/fd/9"})
    assert (len(os.listdir("/proc/self/fd")), groups(), children()) == before


def groups() -> list[str]:
    place = Path(f"/sys/fs/cgroup/memory/boxship-tests-{os.getpid()}")
    return sorted(path.name for path in place.iterdir() if path.is_dir()) if place.exists() else []


def children() -> str:
    return Path("/proc/thread-self/children").read_text()


def test_a_container_ends_with_the_process_that_keeps_it(box: Boxes) -> None:
    reading, writing = os.pipe()
    spec = box.spec("sleep", "60")
    keeper = os.fork()
    if keeper == 0:
        with contextlib.suppress(BaseException):
            name = box.start(spec)
            os.write(writing, str(box.running[name].pid).encode())
            signal.pause()
        os._exit(0)
    pid = int(os.read(reading, 20))
    watched = os.pidfd_open(pid)
    os.kill(keeper, signal.SIGKILL)
    os.waitpid(keeper, 0)
    assert select.select([watched], [], [], 5)[0]
    for descriptor in (reading, writing, watched):
        os.close(descriptor)
    assert spec.linux is not None
    assert spec.linux.cgroups_path is not None
    cgroups.detect().open(spec.linux.cgroups_path).remove()


def test_hooks_run_where_and_when_they_should(box: Boxes) -> None:
    (box.folder / "rootfs").mkdir()
    log = box.folder / "log"
    inside = box.image / "bin/hook"
    inside.write_text("#!/bin/sh\necho startContainer > /tmp/log; cat >> /tmp/log\n")
    inside.chmod(0o755)

    def host(name: str, sees: str = "rootfs") -> oci.Hook:
        script = f"echo {name} >> {log}; cat >/dev/null; ls {box.folder}/{sees} >/dev/null"
        return oci.Hook(path="/bin/sh", args=["sh", "-c", script], env=["PATH=/usr/bin:/bin"])

    asked = oci.Hooks(
        prestart=[host("prestart")],
        create_runtime=[host("createRuntime")],
        create_container=[host("createContainer", "rootfs/bin")],
        start_container=[oci.Hook(path="/bin/hook", args=["hook"])],
    )
    done = box.run("cat", "/tmp/log", hooks=asked)
    assert log.read_text().split() == ["prestart", "createRuntime", "createContainer"]
    assert done.lines[0] == "startContainer"
    assert '"status":"creating"' in done.output


def test_a_hook_that_fails_or_takes_too_long_ends_the_start(box: Boxes) -> None:
    state = oci.State(id="x", status="creating", bundle="/")
    shell = ["sh", "-c", "echo why >&2; exit 3"]
    with pytest.raises(StartFailed, match="exit status 3, stdout: , stderr: why"):
        hooks.run("prestart", [oci.Hook(path="/bin/sh", args=shell)], state)
    slow = oci.Hook(path="/bin/sh", args=["sh", "-c", "sleep 60"], timeout=1)
    with pytest.raises(StartFailed, match="took too long"):
        hooks.run("prestart", [slow], state)


# -- the small init


def test_the_small_init_hands_on_the_exit_code_and_signals(box: Boxes) -> None:
    request = {"init_program": True}
    assert box.run("sh", "-c", "exit 7", request=request).code == 7
    assert box.run("sh", "-c", "kill -9 $$", request=request).code == 137
    done = box.run("absent", request=request)
    assert (done.code, done.output) == (127, "exec absent: no such file or directory\n")
    script = "trap 'echo told; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    reading, writing = os.pipe2(os.O_CLOEXEC)
    name = box.start(box.spec("sh", "-c", script), Stdio(None, writing, writing), **request)
    os.close(writing)
    assert os.read(reading, 10) == b"up\n"
    os.kill(box.running[name].pid, signal.SIGTERM)
    assert os.read(reading, 10) == b"told\n"
    os.close(reading)
    assert box.end(name, kill=False) == 5


def test_the_small_init_reaps_orphans(box: Boxes) -> None:
    script = "(usleep 1000 &); (usleep 1000 &); usleep 100000; grep -h State /proc/[0-9]*/status"
    done = box.run("sh", "-c", script, request={"init_program": True})
    assert "Z" not in done.output


def test_the_small_init_gives_the_terminal_to_the_program(box: Boxes) -> None:
    done = box.run("sh", "-c", "stty size && tty", process={"terminal": True},
                   request={"init_program": True, "console_size": (9, 11)})  # fmt: skip
    assert done.output == "9 11\n/dev/pts/0\n"


# -- exec


def test_sec_02_an_exec_has_its_three_descriptors_only(box: Boxes) -> None:
    spec = box.spec("sleep", "60")
    name = box.start(spec)
    done = box.exec(name, spec, "sh", "-c", "ls /proc/$$/fd; true")
    assert done.output.split() == ["0", "1", "2"]
    for number in range(3, 24):
        with contextlib.suppress(StartFailed):
            seen = box.exec(name, spec, "ls", cwd=f"/proc/self/fd/{number}").output
            assert "boot" not in seen


def test_sec_01_no_file_of_the_host_is_anybodys_program(box: Boxes) -> None:
    """Programs inside look at /proc/*/exe all the time while others are started and entered.

    One that may trace others can see what starts them: for those the spawner runs from a sealed
    copy of the interpreter, which the tests of the whole engine look at.
    """
    ours = {path: digest(path) for path in (sys.executable, os.path.realpath(sys.executable))}
    hunter = (
        "while :; do for p in /proc/[0-9]*; do "
        "x=$(readlink $p/exe); case $x in ''|/bin/busybox) ;; *) echo found $x ;; esac; "
        "( : < $p/exe ) 2>/dev/null; done; done"
    )
    spec = box.spec("sh", "-c", hunter)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    name = box.start(spec, Stdio(None, writing, writing))
    os.close(writing)
    for _ in range(100):
        box.exec(name, spec, "true")
    box.end(name)
    with open(reading, "rb") as file:
        assert b"found" not in file.read()
    assert {path: digest(path) for path in ours} == ours


@pytest.mark.parametrize("execs", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_sec_04_nothing_can_be_taken_from_an_exec_before_its_program(
    box: Boxes, execs: int
) -> None:
    """With CAP_SYS_PTRACE inside, nothing but the container's own files is ever to be opened."""
    hunter = (
        "while :; do for p in /proc/[0-9]*; do for f in $p/fd/* $p/cwd $p/root; do "
        "x=$(readlink $f); case $x in ''|/|/dev/*|pipe:*|/bin/*|/proc/*|/tmp) ;; "
        "*) echo found $f $x ;; esac; done; done; done"
    )
    spec = box.spec("sh", "-c", hunter, caps=[*USUAL_CAPS, "CAP_SYS_PTRACE"])
    reading, writing = os.pipe2(os.O_CLOEXEC)
    name = box.start(spec, Stdio(None, writing, writing))
    os.close(writing)
    for _ in range(execs):
        box.exec(name, spec, "true", cwd="/tmp")
    box.end(name)
    with open(reading, "rb") as file:
        found = {line for line in file.read().decode().splitlines() if "found" in line}
    assert {line for line in found if "socket:" not in line} == set()


def test_an_exec_into_a_container_with_a_strict_filter_works(box: Boxes) -> None:
    """The filter refuses clone(2), so the process that runs the program is made before it."""
    strict = oci.Seccomp(
        default_action="SCMP_ACT_ALLOW",
        syscalls=[oci.Syscall(names=["clone", "clone3"], action="SCMP_ACT_ERRNO")],
    )
    spec = box.spec("sleep", "60", linux={"seccomp": strict})
    name = box.start(spec)
    assert box.exec(name, spec, "cat", "/proc/self/comm").output == "cat\n"


def test_an_exec_with_a_terminal_has_one_of_the_containers(box: Boxes) -> None:
    spec = box.spec("sleep", "60")
    name = box.start(spec)
    done = box.exec(name, spec, "sh", "-c", "tty; test -t 2; echo $?", terminal=True)
    assert done.output == "/dev/pts/0\n0\n"


def test_an_exec_terminal_comes_from_no_fake_devpts(box: Boxes) -> None:
    caps = [*USUAL_CAPS, "CAP_SYS_ADMIN"]
    fake = "umount /dev/pts; ln -sf /etc/passwd /dev/ptmx; touch /dev/pts/ptmx; sleep 60"
    spec = box.spec("sh", "-c", fake, caps=caps)
    name = box.start(spec)
    time.sleep(0.2)
    with pytest.raises(StartFailed, match="no devpts"):
        box.exec(name, spec, "tty", terminal=True)


def test_an_exec_is_in_the_containers_group(box: Boxes) -> None:
    spec = box.spec("sleep", "60")
    name = box.start(spec)
    done = box.exec(name, spec, "cat", "/proc/self/cgroup")
    assert all(line.endswith(":/") for line in done.lines)


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_sec_14_no_abstract_socket_of_ours_is_to_be_found(box: Boxes) -> None:
    done = box.run("cat", "/proc/net/unix", spaces=[k for k in SPACES if k != "network"])
    assert "@boxship" not in done.output
