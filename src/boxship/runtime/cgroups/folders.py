"""Making and deleting the folders that are control groups, and listing who is in them."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from boxship.runtime.cgroups import files
from boxship.runtime.cgroups.errors import CgroupBusy, CgroupUnavailable
from boxship.runtime.cgroups.waiting import attempts

PROCS = "cgroup.procs"
KILL_ROUNDS = 100
AT_ONCE = 256  # processes held at a time, of the descriptors we may have


def make(folder: str, mount: str, prepare: Callable[[str], None] | None = None) -> Iterator[str]:
    """Make `folder`, and those above it up to `mount` that are missing; yield each one made.

    `prepare` is called for every folder above, new or not, that the next one is to be made in;
    with the folder itself being there already, what was left in it is removed first.
    """
    if prepare is None and _make_at_once(folder):
        yield folder
        return
    yield from _make_above(folder, mount, prepare)
    try:
        _mkdir(folder)
    except FileExistsError:
        clear(folder)
        _mkdir(folder)
    yield folder


def _make_at_once(folder: str) -> bool:
    """Make a group as is usual, in one that is there; False where more is to be done or said."""
    try:
        os.mkdir(folder, 0o755)
    except OSError:
        return False
    return True


def _make_above(folder: str, mount: str, prepare: Callable[[str], None] | None) -> Iterator[str]:
    """Make the groups above one that are missing; somebody else may do the same."""
    above = os.path.dirname(folder)
    if above != mount and not os.path.isdir(above):
        yield from _make_above(above, mount, prepare)
        with suppress(FileExistsError):
            _mkdir(above)
            yield above
    if prepare is not None:
        prepare(above)


def _mkdir(folder: str) -> None:
    try:
        os.mkdir(folder, 0o755)
    except FileExistsError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise CgroupUnavailable(f"cannot create cgroup {folder}: {reason}") from error


def clear(folder: str) -> None:
    """Delete an empty group that was left behind; one in use raises CgroupBusy."""
    try:
        delete(folder)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise CgroupBusy(f"container's cgroup is not empty: {folder}") from error
        raise


def below(folder: str) -> Iterator[str]:
    """Yield the groups below, deepest first."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]:
            yield from below(entry)
            yield entry


def delete(folder: str) -> None:
    """Delete a group and all below it, if none has a process; one that is gone is no error."""
    with suppress(FileNotFoundError):
        try:
            os.rmdir(folder)
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
            groups = list(below(folder))
            if not groups:
                raise
            for group in groups:
                with suppress(FileNotFoundError):
                    os.rmdir(group)
            os.rmdir(folder)


def delete_soon(folder: str, within: float, wait: Callable[[float], None] = time.sleep) -> None:
    """Delete a group whose processes are about to end, trying again until `within` seconds.

    `wait` sleeps until it may have emptied, at most for as long as it is told.
    """
    busy: OSError | None = None
    for _ in attempts(within, 0.0005, 0.05, wait):
        try:
            return delete(folder)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            busy = error
    raise CgroupBusy(f"cgroup {folder} still has processes") from busy


@contextmanager
def all_or_none() -> Iterator[list[str]]:
    """Give a list for folders made; should the block fail, these are deleted, last first.

    Those that others have begun to use meanwhile stay.
    """
    made: list[str] = []
    try:
        yield made
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):
                os.rmdir(folder)
        raise


def members(folder: str) -> list[int]:
    """Return the processes in a group and below it; one of another pid namespace has no number."""
    found: dict[int, None] = {}
    for group in (folder, *below(folder)):
        with suppress(FileNotFoundError, OSError):
            text = files.read(f"{group}/{PROCS}")
            found.update(dict.fromkeys(int(pid) for pid in text.split() if pid != "0"))
    return list(found)


def kill_members(list_members: Callable[[], list[int]]) -> None:
    """SIGKILL whoever is listed until the list has nobody new."""
    done: set[int] = set()
    for _ in range(KILL_ROUNDS):
        fresh = set(list_members()) - done
        if not fresh:
            return
        for some in batched(sorted(fresh), AT_ONCE):
            kill_listed(some, list_members)
        done |= fresh


def kill_listed(pids: Iterable[int], list_members: Callable[[], list[int]]) -> None:
    """SIGKILL those of `pids` that are still listed once none can become another process."""
    held: dict[int, int] = {}
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                held[pid] = os.pidfd_open(pid)
        for pid in held.keys() & set(list_members()):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(held[pid], signal.SIGKILL)
    finally:
        for descriptor in held.values():
            os.close(descriptor)


def batched(pids: list[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(pids), size):
        yield pids[start : start + size]


def open_procs(folder: str) -> int:
    return os.open(f"{folder}/{PROCS}", os.O_WRONLY | os.O_CLOEXEC)


def open_tasks(folder: str) -> int:
    """Open what v1 offers for single threads.

    A thread that moves itself waits for nobody. To move a process the kernel takes a lock over
    the threads of all processes, which may take a grace period: 7 to 15 ms were measured.
    """
    return os.open(f"{folder}/tasks", os.O_WRONLY | os.O_CLOEXEC)
