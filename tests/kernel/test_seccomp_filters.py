"""A loaded filter really answers as the profile says."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import platform
import signal
import struct
from collections.abc import Callable

import pytest

from boxship.kernel import seccomp as kernel
from boxship.kernel.syscalls import raw, syscall
from boxship.runtime import seccomp
from boxship.runtime.seccomp import architectures
from boxship.spec.oci.runtime import Seccomp, Syscall, SyscallArg

pytestmark = pytest.mark.root
PR_SET_NO_NEW_PRIVS = 38
MACHINE = platform.machine()
NUMBERS = architectures.family(MACHINE)[0].numbers()
VERSION = (6, 0)


def filtered(profile: Seccomp, probe: Callable[[], list[int]]) -> list[int] | int:
    """Run `probe` under a filter in a child; return its numbers, or the signal that ended it."""
    program = seccomp.compile(profile, MACHINE)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            syscall("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            kernel.load(program, seccomp.flags_of(profile))
            seen = probe()
            os.write(write, struct.pack(f"{len(seen)}q", *seen))
        finally:
            os._exit(0)
    os.close(write)
    with open(read, "rb") as answers:
        data = answers.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    return list(struct.unpack(f"{len(data) // 8}q", data))


def call(name: str, *arguments: int) -> int:
    """Make a system call by its name; its result, or -errno."""
    return raw(NUMBERS[name], *arguments)


def test_the_default_profile_keeps_the_dangerous_calls_away():
    """SEC-12, SEC-13: as root with all capabilities; the filter alone refuses."""
    calls = {
        "unshare": (0x10000000,),
        "mount": (0, 0, 0, 0, 0),
        "fsopen": (0, 0),
        "keyctl": (0, 0, 0, 0, 0),
        "bpf": (0, 0, 0),
        "userfaultfd": (0,),
        "io_uring_setup": (1, 0),
        "open_by_handle_at": (0, 0, 0),
        "setns": (0, 0),
        "kexec_load": (0, 0, 0, 0),
        "init_module": (0, 0, 0),
        "perf_event_open": (0, 0, 0, 0, 0),
        "socket": (38, 5, 0),
        "clone": (0x10000000 | signal.SIGCHLD, 0, 0, 0, 0),
    }
    profile = seccomp.default_profile(frozenset(), VERSION, MACHINE)

    def probe() -> list[int]:
        refused = [call(name, *arguments) for name, arguments in calls.items()]
        smuggled = call("socket", 1 << 32 | 38, 5, 0)
        works = [call("getpid"), call("socket", 2, 1, 0), call("personality", 0xFFFFFFFF)]
        new = [call("clone3", 0, 0), raw(600)]
        return [*refused, smuggled, *works, *new]

    seen = filtered(profile, probe)
    assert isinstance(seen, list)
    refused, (pid, descriptor, personality, clone3, unknown) = seen[:-5], seen[-5:]
    assert refused == [-errno.EPERM] * (len(calls) + 1)
    assert pid > 1
    assert descriptor >= 0
    assert personality >= 0
    assert (clone3, unknown) == (-errno.ENOSYS, -errno.ENOSYS)


def call_as_32_bit(number: int, *arguments: int) -> int:
    """Make a call of 32-bit x86 from a 64-bit program: int 0x80 around three registers."""
    code = bytes.fromhex("53 89f8 89f3 89d1 89ca cd80 5b 4898 c3".replace(" ", ""))
    memory = mmap.mmap(-1, len(code), prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(code)
    where = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    return int(ctypes.CFUNCTYPE(ctypes.c_long, *[ctypes.c_long] * 3)(where)(number, *arguments))


@pytest.mark.skipif(MACHINE != "x86_64", reason="needs x86-64")
def test_32_bit_calls_are_no_way_around():
    """SEC-13: neither socket nor socketcall gives AF_ALG, and a mount is as far away."""
    numbers = architectures.X86.numbers()
    profile = seccomp.default_profile(frozenset(), VERSION, MACHINE)
    everything = Seccomp(default_action="SCMP_ACT_ALLOW", architectures=["SCMP_ARCH_X86"])
    alone = filtered(everything, lambda: [call_as_32_bit(numbers["getpid"], 0, 0)])
    if alone in (signal.SIGSEGV, []):
        pytest.skip("this kernel runs no 32-bit programs")
    seen = filtered(
        profile,
        lambda: [
            call_as_32_bit(numbers["getpid"], 0, 0) - os.getpid(),
            call_as_32_bit(numbers["socket"], 38, 5),
            call_as_32_bit(numbers["socketcall"], 1, 0),
            call_as_32_bit(numbers["mount"], 0, 0),
            call_as_32_bit(numbers["unshare"], 0x10000000, 0),
        ],
    )
    assert seen == [0, *[-errno.EPERM] * 4]


def test_each_action_does_what_it_is_called():
    def rules(action: str, errno_ret: int | None = None) -> Seccomp:
        rule = Syscall(names=["getppid"], action=action, errno_ret=errno_ret)
        return Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=[rule])

    def probe() -> list[int]:
        return [call("getppid")]

    assert filtered(rules("SCMP_ACT_ALLOW"), probe) == [os.getpid()]
    assert filtered(rules("SCMP_ACT_LOG"), probe) == [os.getpid()]
    assert filtered(rules("SCMP_ACT_ERRNO"), probe) == [-errno.EPERM]
    assert filtered(rules("SCMP_ACT_ERRNO", 95), probe) == [-95]
    assert filtered(rules("SCMP_ACT_KILL"), probe) == signal.SIGSYS
    assert filtered(rules("SCMP_ACT_KILL_PROCESS"), probe) == signal.SIGSYS
    assert filtered(rules("SCMP_ACT_TRAP"), probe) == signal.SIGSYS
    assert filtered(rules("SCMP_ACT_TRACE"), probe) == [-errno.ENOSYS]  # nobody traces


def test_all_64_bits_of_an_argument_count():
    """lseek's offset is a 64-bit number; the first thing compared is its high half."""
    limit = (3 << 32) + 5
    refuse = SyscallArg(index=1, value=limit, op="SCMP_CMP_GT")
    rule = Syscall(names=["lseek"], action="SCMP_ACT_ERRNO", errno_ret=7, args=[refuse])
    profile = Seccomp(default_action="SCMP_ACT_ALLOW", syscalls=[rule])
    file = os.open("/proc/self/exe", os.O_RDONLY)
    try:
        seen = filtered(
            profile,
            lambda: [call("lseek", file, at, 0) for at in (limit - 6, limit, limit + 1, 4 << 32)],
        )
    finally:
        os.close(file)
    assert seen == [limit - 6, limit, -7, -7]
