"""Reading and writing a control group's files, and what their refusals mean."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Final

from boxship.runtime.cgroups.errors import CgroupUnavailable, ControllerMissing, LimitRefused
from boxship.runtime.cgroups.writes import Write
from boxship.spec.oci import runtime

LARGEST: Final = 1 << 20  # a few files list every process or CPU
PAGE: Final = 4096  # the kernel shows no more of such a file at a time
REFUSALS: Final = (errno.EINVAL, errno.EBUSY, errno.ERANGE, errno.ENOSPC, errno.ENODEV)
NEUTRAL: Final = {  # what takes a device's entry away
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.weight": "default",
    "io.bfq.weight": "default",
}
Place = Callable[[str], str | None]
"""The path of a file of this group; None where no tree has its controller."""


def read(path: str) -> str:
    """Return a whole file of the group."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = b""
        while len(text) < LARGEST and (more := os.read(descriptor, PAGE)):
            text += more
        return text.decode()
    finally:
        os.close(descriptor)


def read_if_there(path: str | None) -> str | None:
    """Return a whole file, None where the kernel has none or does not support reading it now."""
    if path is None:
        return None
    try:
        return read(path)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            return None
        raise


def write(path: str, value: str) -> None:
    """Write one value, in one go."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


def carry_out(writes: Iterable[Write], place: Place) -> None:
    """Perform writes in order; what is refused is tried once more after the rest.

    Some values are only possible after another has changed: a memory limit above the limit of
    memory with swap, a period too long for the quota.
    """
    later: list[Write] = []
    for wanted in writes:
        try:
            put(wanted, place)
        except OSError as error:
            if error.errno not in REFUSALS:
                raise failure(wanted, place, error) from error
            later.append(wanted)
    for wanted in later:
        try:
            put(wanted, place)
        except OSError as error:
            raise failure(wanted, place, error) from error


def put(wanted: Write, place: Place) -> None:
    """Perform one write; a missing file only matters when the write does."""
    path = place(wanted.file)
    if path is not None:
        with suppress(FileNotFoundError):
            write(path, wanted.value)
            return
    if not wanted.optional:
        raise ControllerMissing(wanted.file)


def failure(wanted: Write, place: Place, error: OSError) -> Exception:
    """Say what went wrong in the words that Docker's users know."""
    path = place(wanted.file) or wanted.file
    if error.errno == errno.EBUSY and wanted.file in ("memory.limit_in_bytes", "memory.max"):
        folder = os.path.dirname(path)
        usage, peak = (
            (read_if_there(f"{folder}/memory.{name}") or "unknown").strip()
            for name in ("usage_in_bytes", "max_usage_in_bytes")
        )
        return LimitRefused(
            f"unable to set memory limit to {wanted.value} "
            f"(current usage: {usage}, peak usage: {peak})"
        )
    reason = os.strerror(error.errno or 0).lower()
    text = f'failed to write "{wanted.value}": write {path}: {reason}'
    return LimitRefused(text) if error.errno in REFUSALS else CgroupUnavailable(text)


def check_usage(resources: runtime.Resources, usage: str | None) -> None:
    """Refuse, where that is asked for, a memory limit below what is in use already."""
    memory = resources.memory
    if memory and memory.check_before_update and memory.limit and memory.limit > 0:
        used = number(usage)
        if used is not None and used > memory.limit:
            text = f"unable to set memory limit to {memory.limit} (current usage: {used})"
            raise LimitRefused(text)


def change(writes: Iterable[Write], place: Place) -> None:
    """Perform writes, or none: after a refusal the values from before are put back."""
    wanted = list(writes)
    before = [old for write in wanted if (old := previous(write, read_if_there(place(write.file))))]
    try:
        carry_out(wanted, place)
    except Exception:
        for old in reversed(before):
            with suppress(OSError, ControllerMissing):
                put(old, place)
        raise


def previous(wanted: Write, text: str | None) -> Write | None:
    """Return the write that undoes `wanted`, given what its file says before it."""
    if text is None:
        return None
    key = wanted.value.partition(" ")[0]
    if ":" in key:  # one line for each device
        line = next((line for line in text.splitlines() if line.split()[:1] == [key]), None)
        return Write(wanted.file, line or f"{key} {NEUTRAL.get(wanted.file, '0')}")
    if wanted.file == "memory.oom_control":
        return Write(wanted.file, str(dict(flat(text))["oom_kill_disable"]))
    return Write(wanted.file, text.strip())


def flat(text: str) -> Iterator[tuple[str, int]]:
    """Yield the entries of a file with a name and a number in each line."""
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if value.isdigit():
            yield name, int(value)


def number(text: str | None) -> int | None:
    """Read a file with one number; None where there is none, or it says `max`."""
    value = "max" if text is None else text.strip()
    return None if value == "max" else int(value)
