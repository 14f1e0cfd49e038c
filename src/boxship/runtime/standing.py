"""What the `boxship-runtime` command remembers between its calls.

<root>/<container>/state.json   identity of the first process, bundle, cgroup, times
                   config.json  the spec it was made from
                   start        a FIFO, until it has been started: a byte there starts it
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import Final

import msgspec

from boxship.errors import InvalidRequest
from boxship.kernel import processes
from boxship.lib import atomicfile
from boxship.runtime import cgroups
from boxship.runtime.errors import NoSuchContainer, WrongState
from boxship.spec.oci import runtime as oci

LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-.")
LONGEST: Final = 1024


class Standing(msgspec.Struct):
    """A container of the command's."""

    id: str
    pid: int
    started: int  # of the process, in ticks since boot; with its pid it is unique
    bundle: str
    rootfs: str
    cgroup: str
    created: str
    owner: str = "root"


class Folder:
    """One container's folder."""

    def __init__(self, root: str, name: str) -> None:
        if not name or len(name) > LONGEST or set(name) - LETTERS or name in (".", ".."):
            raise InvalidRequest(f"invalid container ID: {name!r}")
        self.name = name
        self.path = os.path.join(root, name)

    @property
    def gate(self) -> str:
        return f"{self.path}/start"

    def make(self) -> None:
        """Take the name; Conflict when it is taken."""
        os.makedirs(os.path.dirname(self.path), mode=0o711, exist_ok=True)
        try:
            os.mkdir(self.path, 0o711)
        except FileExistsError:
            raise WrongState("container with given ID already exists") from None

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def write(self, standing: Standing, spec: oci.Spec) -> None:
        """Remember a container that was created."""
        atomicfile.write(f"{self.path}/config.json", msgspec.json.encode(spec), durable=False)
        atomicfile.write(f"{self.path}/state.json", msgspec.json.encode(standing), durable=False)

    def read(self) -> Standing:
        """Return what is remembered; NoSuchContainer when there is nothing."""
        try:
            with open(f"{self.path}/state.json", "rb") as file:
                return msgspec.json.decode(file.read(), type=Standing)
        except FileNotFoundError:
            raise NoSuchContainer(self.name) from None

    def spec(self) -> oci.Spec:
        """Return the spec that the container was made from."""
        with open(f"{self.path}/config.json", "rb") as file:
            return msgspec.json.decode(file.read(), type=oci.Spec)

    def status(self, standing: Standing) -> str:
        """Return created, running, paused or stopped."""
        if not processes.is_alive(standing.pid, standing.started):
            return "stopped"
        if os.path.exists(self.gate):
            return "created"
        group = cgroups.detect().open(standing.cgroup)
        with contextlib.suppress(OSError):
            if group.frozen:
                return "paused"
        return "running"

    def state(self, standing: Standing, annotations: dict[str, str]) -> oci.State:
        """Return the state document of the runtime specification."""
        status = self.status(standing)
        return oci.State(
            id=standing.id,
            status=status,
            pid=0 if status == "stopped" else standing.pid,
            bundle=standing.bundle,
            annotations=annotations,
        )


def every(root: str) -> list[Folder]:
    """Return all containers below a root."""
    with contextlib.suppress(FileNotFoundError):
        return [Folder(root, name) for name in sorted(os.listdir(root)) if not set(name) - LETTERS]
    return []


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
