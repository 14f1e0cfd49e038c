"""The default profile's verdicts, call by call, and profiles that users write."""

from __future__ import annotations

import json

import pytest
from tests.support.bpf import filter_says

from boxship.errors import InvalidRequest
from boxship.runtime import seccomp
from boxship.runtime.seccomp.architectures import AARCH64, X32, X86, X86_64

KERNEL = (6, 1)
CAPABILITIES = """
    BPF DAC_READ_SEARCH PERFMON SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE SYS_PACCT
    SYS_PTRACE SYS_RAWIO SYS_TIME SYS_TTY_CONFIG
"""
EVERY = frozenset(f"CAP_{name}" for name in CAPABILITIES.split())
ORDINARY = """
    read write open openat openat2 close stat fstat lstat newfstatat statx mmap mprotect munmap
    brk rt_sigaction rt_sigreturn ioctl pipe2 dup3 execve execveat exit exit_group fork vfork
    wait4 waitid kill tgkill getpid gettid getuid setuid setgid setgroups setresuid capset prctl
    arch_prctl modify_ldt connect accept4 bind listen sendmsg recvmmsg socketpair futex
    futex_waitv epoll_pwait2 eventfd2 inotify_init1 signalfd4 timerfd_create clock_gettime
    clock_nanosleep nanosleep getrandom memfd_create memfd_secret mseal pkey_mprotect
    landlock_add_rule seccomp rseq membarrier sched_setattr sched_setaffinity shmget msgsnd semop
    mq_open flock fallocate copy_file_range splice sendfile mknod symlinkat chmod fchmodat2 chown
    utimensat setxattr setxattrat statmount listmount name_to_handle_at ptrace process_vm_readv
    pidfd_open pidfd_send_signal close_range io_setup uretprobe adjtimex
"""
REFUSED = """
    unshare setns mount umount2 move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr
    pivot_root chroot swapon swapoff reboot kexec_load kexec_file_load init_module finit_module
    delete_module add_key request_key keyctl bpf perf_event_open userfaultfd io_uring_setup
    io_uring_enter io_uring_register open_by_handle_at kcmp pidfd_getfd process_madvise acct
    quotactl lookup_dcookie fanotify_init sethostname setdomainname syslog settimeofday
    clock_settime iopl ioperm vhangup mbind set_mempolicy get_mempolicy move_pages migrate_pages
    nfsservctl sysfs ustat uselib lsm_list_modules create_module _sysctl vserver
"""
VERDICTS = {0x7FFF0000: "allow", 0x50001: "EPERM", 0x50026: "ENOSYS", 0: "kill"}


def says(name, *arguments, caps=(), arch=X86_64, kernel=KERNEL, machine="x86_64"):
    """Return the default profile's verdict on a call."""
    profile = seccomp.default_profile(frozenset(caps), kernel, machine)
    program = seccomp.compiled(profile, machine)
    return VERDICTS[filter_says(program, arch.numbers()[name], arch.audit, arguments)]


@pytest.mark.parametrize("name", ORDINARY.split())
def test_ordinary_programs_may(name):
    assert says(name) == "allow"


@pytest.mark.parametrize("name", REFUSED.split())
def test_without_capabilities_nobody_may(name):
    """SEC-12: what kernels have been broken through is out of reach."""
    assert says(name) == "EPERM"


@pytest.mark.parametrize(
    ("capability", "names"),
    [
        ("CAP_SYS_ADMIN", "mount umount2 unshare setns clone clone3 bpf fsopen sethostname syslog"),
        ("CAP_SYS_CHROOT", "chroot"),
        ("CAP_SYS_PTRACE", "kcmp pidfd_getfd process_madvise ptrace"),
        ("CAP_SYS_MODULE", "init_module finit_module delete_module"),
        ("CAP_SYS_TIME", "settimeofday clock_settime"),
        ("CAP_SYS_NICE", "mbind set_mempolicy get_mempolicy set_mempolicy_home_node"),
        ("CAP_SYS_RAWIO", "iopl ioperm"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_PACCT", "acct"),
        ("CAP_SYS_TTY_CONFIG", "vhangup"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ],
)
def test_a_capability_brings_its_calls(capability, names):
    for name in names.split():
        assert says(name, 0x10000000, caps=[capability]) == "allow"
        if name != "ptrace":
            refused = "ENOSYS" if name == "clone3" else "EPERM"
            assert says(name, 0x10000000, caps=()) == refused


@pytest.mark.parametrize("name", ["kexec_load", "keyctl", "add_key", "userfaultfd", "pivot_root",
                                  "io_uring_setup", "swapon", "move_pages"])  # fmt: skip
def test_with_every_capability_some_calls_stay_refused(name):
    assert says(name, caps=EVERY) == "EPERM"


def test_threads_may_be_made_but_no_namespaces():
    thread, namespace = 0x3D0F00, 0x10000000
    assert says("clone", thread) == "allow"
    for bit in (17, 25, 26, 27, 28, 29, 30):
        assert says("clone", thread | 1 << bit) == "EPERM"
    assert says("clone3") == "ENOSYS"  # its flags cannot be seen: the C library falls back
    assert says("clone", namespace, arch=X86) == "EPERM"
    assert says("clone", namespace, arch=AARCH64, machine="aarch64") == "EPERM"


@pytest.mark.parametrize("arch", [X86_64, X32, X86])
def test_kernel_cryptography_and_the_way_to_the_host_are_no_socket_families(arch):
    """SEC-13: AF_ALG and AF_VSOCK stay closed, whatever is in the bits the kernel ignores."""
    for high in (0, 1 << 32, 0xFFFFFFFF << 32):
        assert says("socket", high | 38, arch=arch) == "EPERM"
        assert says("socket", high | 40, arch=arch) == "EPERM"
    for family in {*range(46)} - {38, 40}:
        assert says("socket", family, arch=arch) == "allow"


def test_socketcall_opens_no_socket_but_serves_those_that_are_open():
    """SEC-13: the family is in memory, where no filter looks."""
    assert says("socketcall", 1, arch=X86) == "EPERM"
    for operation in range(2, 21):
        assert says("socketcall", operation, arch=X86) == "allow"


def test_only_the_common_personalities_can_be_had():
    for personality in (0, 8, 0x20000, 0x20008, 0xFFFFFFFF):
        assert says("personality", personality) == "allow"
    for personality in (0x0400000, 0x0040000, 4, 1 << 32):
        assert says("personality", personality) == "EPERM"


def test_tracing_waits_for_a_kernel_on_which_it_is_safe():
    assert says("ptrace", kernel=(4, 8)) == "allow"
    assert says("ptrace", kernel=(4, 7)) == "EPERM"
    assert says("ptrace", kernel=(4, 7), caps=["CAP_SYS_PTRACE"]) == "allow"


def test_each_machine_has_its_own_calls():
    assert says("arch_prctl", arch=X86_64) == "allow"
    assert says("renameat", arch=AARCH64, machine="aarch64") == "allow"
    assert says("mount", arch=AARCH64, machine="aarch64") == "EPERM"
    assert says("mount", arch=X86) == "EPERM"
    assert says("mount", arch=X32) == "EPERM"
    assert says("chown32", arch=X86) == "allow"


def parsed(document, caps=(), kernel=KERNEL, machine="x86_64"):
    text = document if isinstance(document, str | bytes) else json.dumps(document)
    return seccomp.parse_profile(text, frozenset(caps), kernel, machine)


def rule(**members):
    return {"names": ["mkdir"], "action": "SCMP_ACT_ALLOW", **members}


@pytest.mark.parametrize(
    ("members", "counts"),
    [
        ({"includes": {"caps": ["CAP_A", "CAP_B"]}}, {"CAP_A CAP_B": True, "CAP_A": False}),
        ({"excludes": {"caps": ["CAP_A", "CAP_B"]}}, {"CAP_C": True, "CAP_A": False}),
        ({"includes": {"arches": ["amd64", "x32"]}}, {"": True}),
        ({"includes": {"arches": ["arm64"]}}, {"": False}),
        ({"excludes": {"arches": ["amd64"]}}, {"": False}),
        ({"includes": {"minKernel": "6.1"}}, {"": True}),
        ({"includes": {"minKernel": "6.2"}}, {"": False}),
        ({"excludes": {"minKernel": "6.1"}}, {"": False}),
        ({"includes": {}, "excludes": {}}, {"": True}),
        ({"includes": None, "excludes": None, "args": None}, {"": True}),
    ],
)
def test_a_rule_counts_under_its_conditions(members, counts):
    document = {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule(**members)]}
    for caps, counted in counts.items():
        assert bool(parsed(document, caps.split()).syscalls) is counted


def test_architectures_come_from_the_map_with_those_that_go_with_them():
    document = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
        ],
    }
    assert parsed(document).architectures == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert parsed(document, machine="aarch64").architectures[1] == "SCMP_ARCH_ARM"


def test_arguments_and_errno_survive():
    argument = {"index": 1, "value": 2**64 - 1, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"}
    document = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [rule(action="SCMP_ACT_ERRNO", errnoRet=13, args=[argument], comment="why")],
    }
    (found,) = parsed(document).syscalls
    assert (found.errno_ret, found.args[0].value, found.args[0].value_two) == (13, 2**64 - 1, 7)


def test_a_profile_without_anything_filters_nothing():
    assert parsed("{}") is None


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "Decoding seccomp profile failed: "),
        ("{", "Decoding seccomp profile failed: "),
        ("[]", "Decoding seccomp profile failed: "),
        (b"\xff\xfe", "Decoding seccomp profile failed: "),
        ('{"defaultAction": 1}', "Decoding seccomp profile failed: "),
        ('{"defaultAction":"SCMP_ACT_ALLOW"} x', "Decoding seccomp profile failed: "),
        ({"defaultAction": "NO"}, "string NO is not a valid action for seccomp"),
        ({"syscalls": [rule()]}, "string  is not a valid action for seccomp"),
        (
            {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule(name="mkdir")]},
            "both 'name' and 'names' are specified",
        ),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "architectures": ["SCMP_ARCH_X86"],
                "archMap": [{"architecture": "SCMP_ARCH_X86_64"}],
            },
            "both 'architectures' and 'archMap' are specified",
        ),
        (
            {
                "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [rule(includes={"minKernel": "six"})],
            },
            "invalid kernel version 'six'",
        ),
        (" " * (1 << 20) + "{}", "larger than 1 MiB"),
    ],
)  # fmt: skip
def test_a_wrong_profile_is_refused_with_the_reason(document, message):
    with pytest.raises(InvalidRequest, match=message):
        parsed(document)
