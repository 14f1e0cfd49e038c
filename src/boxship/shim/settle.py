"""Cleaning up behind a shim that was killed: the container must not go on without a keeper."""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass

from boxship.kernel import processes
from boxship.shim import record
from boxship.shim.needs import Host

KILLED = 128 + signal.SIGKILL
PATIENCE = 10.0  # seconds for a killed init to be gone


@dataclass(frozen=True, slots=True)
class Settled:
    """How a folder without a living shim was left: `how` is None when nothing had started."""

    container: str
    how: record.ExitRecord | None


def is_kept(folder: str) -> bool:
    """Tell whether the shim of this folder lives, or one of its starters does."""
    standing = record.read_standing(folder)
    return standing is not None and _is_alive(standing.shim)


def settle(folder: str, host: Host, now: int) -> Settled | None:
    """Bring a lost container to its end; None when its shim lives, and nothing was done.

    A starter dies with its shim, but not in the middle of a system call: while one is there, it
    may still make what is to be swept here, and nothing is done either. What the shim wrote before
    it died counts. Otherwise the container's processes are killed, and its record says so. May
    block until they are gone, a few milliseconds as a rule.
    """
    standing = record.read_standing(folder)
    if standing is None:
        record.remove_folder(folder)
        return Settled("", None)
    if _is_alive(standing.shim):
        return None
    if standing.runtime is None:  # it had not begun
        record.remove_folder(folder)
        return Settled(standing.container, None)
    how = record.read_exit(standing.exit_record)
    _kill_the_rest(standing, host)
    if how is None:
        how = record.ExitRecord(
            exit_code=KILLED,
            signal=signal.SIGKILL,
            finished_at=now,
            pid=standing.init.pid if standing.init else 0,
            error="the container's keeper was killed, and the container with it",
        )
        record.write_exit(standing.exit_record, how)
    record.remove_folder(folder)
    return Settled(standing.container, how)


def _is_alive(shim: record.Process) -> bool:
    """Whether a shim lives, or what it has forked does: all but programs are in its session."""
    return processes.is_alive(shim.pid, shim.started) or processes.has_left_some(
        shim.pid, shim.started
    )


def _kill_the_rest(standing: record.Standing, host: Host) -> None:
    """Kill init, when it is still the one we mean, and whatever else is in the cgroup."""
    assert standing.runtime
    if standing.init:
        _kill(standing.init)
    host.sweep(standing.runtime, standing.container, standing.cgroup)


def _kill(process: record.Process) -> None:
    try:
        pidfd = processes.open_pidfd(process.pid)
    except OSError:
        return
    try:
        if processes.is_alive(process.pid, process.started):
            processes.send_signal(pidfd, signal.SIGKILL)
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(PATIENCE * 1000)
    finally:
        os.close(pidfd)
