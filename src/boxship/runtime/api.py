"""What every runtime offers, ours and foreign ones: from a bundle to processes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from boxship.spec.oci import runtime as oci


@dataclass(frozen=True, slots=True)
class Stdio:
    """Descriptors for the program's 0, 1 and 2; None is /dev/null. Ignored with a terminal."""

    stdin: int | None = None
    stdout: int | None = None
    stderr: int | None = None


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A container to set up.

    All descriptors stay the caller's, to close after `create` has returned. `root` is a detached
    mount; it is attached inside the container only. `join` has descriptors of namespaces by the
    runtime specification's names; it and `netns` win over paths in the spec. `trees` has detached
    mounts by destination, which win over the sources of the spec's mounts. `init_program` puts a
    small init between the kernel and the program.
    """

    id: str
    spec: oci.Spec
    bundle: str
    root: int
    netns: int | None = None
    stdio: Stdio = field(default_factory=Stdio)
    console_size: tuple[int, int] | None = None  # height, width
    init_program: bool = False
    join: Mapping[str, int] = field(default_factory=dict)
    trees: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Init:
    """A container's first process, or an exec's; it is the caller's child.

    `pidfd` and `terminal` (the master side, when the process has a terminal) are the caller's to
    close. `warnings` say what the host could not give and the container does without.
    """

    pid: int
    pidfd: int
    terminal: int | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """A further process for a running container; `spec` is the container's own."""

    id: str
    init: Init
    spec: oci.Spec
    process: oci.Process
    stdio: Stdio = field(default_factory=Stdio)
    console_size: tuple[int, int] | None = None


class Runtime(Protocol):
    """Starts containers for the process that calls it, which becomes the parent of them all."""

    def create(self, request: CreateRequest) -> Init:
        """Set a container up to where only the program's start is missing."""

    def start(self, init: Init) -> None:
        """Let a created container's program run; StartFailed when it cannot."""

    def run(self, request: CreateRequest) -> Init:
        """Create and start in one go."""

    def exec(self, request: ExecRequest) -> Init:
        """Run one more program inside."""

    def kill_all(self, container: str) -> None:
        """Kill every process of a container."""

    def delete(self, container: str) -> None:
        """Remove what the runtime keeps for a container that has ended: state and cgroup."""
