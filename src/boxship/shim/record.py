"""What a shim leaves on disk: how its container ended, and where it stands meanwhile."""

from __future__ import annotations

import os
from typing import Final

import msgspec

from boxship.lib import atomicfile
from boxship.shim.protocol import RuntimeChoice

SOCKET: Final = "shim.sock"
STANDING: Final = "state.json"


class ExitRecord(msgspec.Struct, rename="pascal", kw_only=True):
    """The end of a container: `<container>/exit.json`, written before anybody is told.

    `exit_code` is what a shell would show, `signal` what killed it or 0, `finished_at` in
    nanoseconds since 1970. `error` says what the exit code cannot.
    """

    exit_code: int
    signal: int = 0
    oom_killed: bool = msgspec.field(name="OOMKilled", default=False)
    finished_at: int
    pid: int = 0
    error: str = ""


class Process(msgspec.Struct):
    """A process, with when it started: a pid alone may be somebody else's by now."""

    pid: int
    started: int


class Standing(msgspec.Struct, omit_defaults=True):
    """`<shim folder>/state.json`: what is needed to clean up behind a shim that was killed.

    `init` is missing while the container is being started; its processes are in `cgroup` then.
    In the file it is a line of its own, added when there is one.
    """

    container: str
    shim: Process
    init: Process | None = None
    exit_record: str = ""
    cgroup: str = ""
    runtime: RuntimeChoice | None = None


_EXIT: Final = msgspec.json.Decoder(ExitRecord)
_STANDING: Final = msgspec.json.Decoder(Standing)
_PROCESS: Final = msgspec.json.Decoder(Process)
_ENCODER: Final = msgspec.json.Encoder()


def write_exit(path: str, record: ExitRecord) -> None:
    """Write the exit record; it survives the death of every process, but not a power cut."""
    atomicfile.write(path, _ENCODER.encode(record), durable=False)


def read_exit(path: str) -> ExitRecord | None:
    """Return the exit record, if the container has one."""
    return None if (data := _read(path)) is None else _EXIT.decode(data)


def write_standing(folder: str, standing: Standing) -> None:
    """Say where this shim stands."""
    path = os.path.join(folder, STANDING)
    atomicfile.write(path, _ENCODER.encode(standing), durable=False)


def read_standing(folder: str) -> Standing | None:
    """Return where the shim of a folder stands or stood; None when it never said."""
    data = _read(os.path.join(folder, STANDING))
    if data is None:
        return None
    first, _, second = data.partition(b"\n")
    standing = _STANDING.decode(first)
    if second.endswith(b"\n"):
        standing.init = _PROCESS.decode(second)
    return standing


def add_init(folder: str, init: Process) -> None:
    """Add to where this shim stands that its container runs."""
    path = os.path.join(folder, STANDING)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(file, b"\n%b\n" % _ENCODER.encode(init))
    finally:
        os.close(file)


def remove_folder(folder: str) -> None:
    """Remove a shim's folder with all that a shim, or its runtime, puts into it."""
    try:
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.isdir(path) and not os.path.islink(path):
                remove_folder(path)
            else:
                os.unlink(path)
        os.rmdir(folder)
    except FileNotFoundError:
        pass


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except FileNotFoundError:
        return None
