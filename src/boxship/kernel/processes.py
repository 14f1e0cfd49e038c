"""Processes by descriptor, so that a number used again is never mistaken for the one we meant."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from typing import Final

from boxship.kernel.syscalls import syscall

ANY_CHILD: Final = 0x40000000  # __WALL: of every kind, whatever signal it ends with
LONGEST_STAT: Final = 4096  # bytes of a process's numbers, its name among them
PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_KEEPCAPS: Final = 8
PR_SET_NAME: Final = 15
PR_SET_NO_NEW_PRIVS: Final = 38
PR_SET_CHILD_SUBREAPER: Final = 36


def open_pidfd(pid: int) -> int:
    """Return a descriptor of a process; ProcessLookupError when there is none."""
    return os.pidfd_open(pid)


def take_descriptor(pidfd: int, number: int) -> int:
    """Return a copy of a descriptor that another process has open as `number`."""
    return syscall("pidfd_getfd", pidfd, number, 0, about=number)


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal; False when the process has ended."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    return True


def _stat(pid: int | str) -> list[bytes]:
    """Return what the kernel tells of a process, from its state on."""
    file = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, LONGEST_STAT).rpartition(b")")[2].split()
    finally:
        os.close(file)


def start_time(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; with its pid it is unique."""
    return int(_stat(pid)[19])


def age() -> float:
    """Return the seconds since this process started, to a hundredth or so."""
    began = start_time(os.getpid()) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began


def is_alive(pid: int, started: int | None = None) -> bool:
    """Whether a process runs (a zombie does not), and is the one that started then."""
    try:
        told = _stat(pid)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return told[0] not in b"ZX" and (started is None or int(told[19]) == started)


def has_left_some(leader: int, started: int) -> bool:
    """Whether anybody runs on in the session of a process that has ended, and that began then.

    Nobody of it may have left its first process group but for a session of its own, and nobody can
    come in who is not a child of one of them. The kernel gives the leader's number to another only
    when both are empty.
    """
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody is there, perhaps another's
        pass
    # One that ends may have made another after all were listed: that one is in the next list.
    return any(_is_anybody_in(leader, started) for _ in range(2))


def _is_anybody_in(session: int, since: int) -> bool:
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            told = _stat(entry)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(entry) == session and int(told[19]) != since:
            return False
        if int(told[3]) == session and told[0] not in b"ZX" and int(told[19]) >= since:
            return True
    return False


def is_child(pidfd: int) -> bool:
    """Whether a process is our child; one that has ended is until it is waited for."""
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT | ANY_CHILD)
    except ChildProcessError:
        return False
    return True


def is_sibling(pid: int) -> bool:
    """Whether a process has the same parent as we have."""
    return int(_stat(pid)[1]) == os.getppid()


def wait(pidfd: int) -> os.waitid_result | None:
    """Wait for our child to end; None when it is not our child, or was waited for already."""
    while True:
        try:
            return os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        except InterruptedError:
            continue
        except ChildProcessError:
            return None


def has_ended(pidfd: int, within: float = 0.0) -> bool:
    """Whether a process has ended, or does so within some seconds.

    That is so also where wait(2) does not tell its parent: one that is traced is its tracer's to
    wait for first, and that may be never.
    """
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(within * 1000))


def take_end(pid: int, pidfd: int) -> int | None:
    """Return how our child has ended, as wait(2) says; None when it has not.

    Where a tracer keeps it, nobody is told before that one lets it go; but all can read it.
    """
    if not has_ended(pidfd):
        return None
    try:
        waited, status = os.waitpid(pid, os.WNOHANG | ANY_CHILD)
        if waited:
            return status
        return int(_stat(pid)[49])
    except (ChildProcessError, FileNotFoundError, ProcessLookupError):
        return None


def exit_code(ended: os.waitid_result) -> int:
    """Return the status a shell would show: 128 and the signal for one killed."""
    return ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status


def prctl(option: int, *arguments: int | bytes) -> int:
    """prctl(2)."""
    return syscall("prctl", option, *arguments)


def set_dumpable(wanted: bool) -> None:
    """Say whether other processes of this user may look inside this one."""
    prctl(PR_SET_DUMPABLE, int(wanted), 0, 0, 0)


def become_subreaper() -> None:
    """Have orphans below this process become its own children."""
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def set_name(name: str) -> None:
    """Set the name that `ps` shows for this thread; 15 bytes are kept."""
    prctl(PR_SET_NAME, name.encode()[:15] + b"\0", 0, 0, 0)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send `number` when the thread that made us ends."""
    prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def kill(pid: int, number: int) -> bool:
    """Send a signal by number; False when there is no such process."""
    try:
        os.kill(pid, number)
    except OSError as failure:
        if failure.errno == errno.ESRCH:
            return False
        raise
    return True
