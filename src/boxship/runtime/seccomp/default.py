"""The profile of every container that names no other: what Docker's permits, and nothing more.

Calls are listed by what they are for. Left out, and so refused with EPERM, is what no ordinary
program needs and kernels have been broken through: namespaces and mounts, modules, keys, tracing
by BPF, io_uring, userfaultfd and their like. A capability that is useless without its calls
brings them along.

Two things are stricter than in Docker's own profile. Socket families are judged by the 32 bits
that the kernel looks at, so that high bits cannot smuggle a family in; and on 32-bit x86
`socketcall`, whose family no filter can see, opens no socket. Programs there have had `socket`
itself since Linux 4.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from boxship.runtime.seccomp import architectures
from boxship.runtime.seccomp.architectures import AARCH64, X86_64
from boxship.runtime.seccomp.verdicts import ENOSYS, EPERM
from boxship.spec.oci.runtime import Seccomp, Syscall, SyscallArg

FILES: Final = """
    access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3
    faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown
    fchown32 fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64
    fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64 ioctl lchown lchown32 link
    linkat _llseek lseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat
    open openat openat2 pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
    readlink readlinkat readv rename renameat renameat2 rmdir sendfile sendfile64 splice stat
    stat64 statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate
    truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
    listmount statmount
"""
ATTRIBUTES: Final = """
    fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr
    listxattrat llistxattr lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat
"""
WAITING: Final = """
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait
    epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1
    inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup
    io_submit _newselect poll ppoll ppoll_time64 pselect6 pselect6_time64 select signalfd
    signalfd4
"""
MEMORY: Final = """
    brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock
    mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc
    pkey_free pkey_mprotect process_mrelease remap_file_pages
"""
PROCESSES: Final = """
    execve execveat exit exit_group fork getcpu getpgid getpgrp getpid getppid getpriority
    getrlimit getrusage getsid gettid get_robust_list get_thread_area ioprio_get ioprio_set
    pidfd_open prctl prlimit64 restart_syscall riscv_hwprobe rseq sched_getaffinity sched_getattr
    sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr
    sched_setparam sched_setscheduler sched_yield set_robust_list set_thread_area set_tid_address
    setpgid setpriority setrlimit setsid sysinfo times ugetrlimit uname uretprobe vfork wait4
    waitid waitpid
"""
LOCKS: Final = """
    futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake
"""
IDENTITY: Final = """
    capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32
    getresgid getresgid32 getresuid getresuid32 getuid getuid32 landlock_add_rule
    landlock_create_ruleset landlock_restrict_self seccomp setfsgid setfsgid32 setfsuid setfsuid32
    setgid setgid32 setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid
    setresuid32 setreuid setreuid32 setuid setuid32
"""
SIGNALS: Final = """
    kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo
    sigaltstack sigprocmask sigreturn tgkill tkill
"""
TIME: Final = """
    adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
    clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer getrandom gettimeofday
    nanosleep setitimer time timer_create timer_delete timer_getoverrun timer_gettime
    timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
    timerfd_settime timerfd_settime64
"""
NETWORK: Final = """
    accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg
    recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketpair
"""
BETWEEN_PROCESSES: Final = """
    ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
    mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
    semtimedop_time64 shmat shmctl shmdt shmget
"""
EVERYONE: Final = (
    FILES, ATTRIBUTES, WAITING, MEMORY, PROCESSES, LOCKS, IDENTITY, SIGNALS, TIME, NETWORK,
    BETWEEN_PROCESSES,
)  # fmt: skip

OF_MACHINE: Final = {
    X86_64.name: "arch_prctl modify_ldt",
    AARCH64.name: "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls "
    "sync_file_range2",
}
TRACING: Final = "process_vm_readv process_vm_writev ptrace"
TRACING_IS_SAFE: Final = (4, 8)  # before it, a tracer could change a call after it was judged
WITH_CAPABILITY: Final = {
    "CAP_BPF": "bpf",
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_PERFMON": "perf_event_open",
    "CAP_SYSLOG": "syslog",
    "CAP_SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie
        lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount
        open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog
        umount umount2 unshare
    """,
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module finit_module init_module",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": f"kcmp pidfd_getfd process_madvise {TRACING}",
    "CAP_SYS_RAWIO": "ioperm iopl",
    "CAP_SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)  # Linux, UNAME26 or not; ask
NEW_NAMESPACES: Final = 0x7E020000  # the flags of clone that make one
SOCKETCALL_SOCKET: Final = 1
LOW: Final = 0xFFFFFFFF
# Families up to 63 but for AF_ALG (38), the kernel's cryptography, and AF_VSOCK (40), the way to
# the machine's host: each pair is a mask of the bits compared, and what they must be.
FAMILIES: Final = (
    (LOW & ~31, 0), (LOW & ~3, 32), (LOW & ~1, 36), (LOW, 39),
    (LOW, 41), (LOW & ~1, 42), (LOW & ~3, 44), (LOW & ~15, 48),
)  # fmt: skip


def default_profile(capabilities: frozenset[str], kernel: tuple[int, int], machine: str) -> Seccomp:
    """Return the profile for a container with these capabilities in its bounding set."""
    family = architectures.family(machine)
    return Seccomp(
        default_action="SCMP_ACT_ERRNO",
        default_errno_ret=EPERM,
        architectures=[arch.name for arch in family],
        syscalls=list(rules(capabilities, kernel, family[0].name)),
    )


def rules(capabilities: frozenset[str], kernel: tuple[int, int], native: str) -> Iterator[Syscall]:
    allowed = [*EVERYONE, OF_MACHINE[native]]
    if kernel >= TRACING_IS_SAFE:
        allowed.append(TRACING)
    allowed.extend(calls for name, calls in WITH_CAPABILITY.items() if name in capabilities)
    yield allow(*dict.fromkeys(" ".join(allowed).split()))
    for mask, family in FAMILIES:
        yield allow("socket", when=compare("MASKED_EQ", mask, family))
    yield allow("socketcall", when=compare("NE", SOCKETCALL_SOCKET))
    for personality in PERSONALITIES:
        yield allow("personality", when=compare("EQ", personality))
    if "CAP_SYS_ADMIN" not in capabilities:
        yield allow("clone", when=compare("MASKED_EQ", NEW_NAMESPACES, 0))
        yield Syscall(names=["clone3"], action="SCMP_ACT_ERRNO", errno_ret=ENOSYS)


def allow(*names: str, when: SyscallArg | None = None) -> Syscall:
    args = [] if when is None else [when]
    return Syscall(names=list(names), action="SCMP_ACT_ALLOW", args=args)


def compare(operator: str, value: int, value_two: int = 0) -> SyscallArg:
    """Return a condition on a call's first argument."""
    return SyscallArg(index=0, op=f"SCMP_CMP_{operator}", value=value, value_two=value_two)
