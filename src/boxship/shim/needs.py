"""What a shim needs of the host it runs on."""

from __future__ import annotations

from typing import Protocol

from boxship.runtime.ahead import Ahead
from boxship.runtime.api import Runtime
from boxship.shim.protocol import RuntimeChoice


class MemoryEvents(Protocol):
    """What the kernel says of a cgroup's memory."""

    def oom_watch(self) -> int | None:
        """Return a descriptor that becomes readable (or urgent) when memory has run out."""

    def oom_kills(self) -> int:
        """Return how many processes were killed for want of memory."""


class Host(Protocol):
    """Made once in the spawner, used by every shim forked from it."""

    def runtime(self, choice: RuntimeChoice) -> Runtime:
        """Return the runtime that a container asked for."""

    def plans_for(self, choice: RuntimeChoice) -> bool:
        """Whether the one that is `ahead` plans for that runtime."""

    def start_siblings(self) -> None:
        """Have what a runtime starts become a child of this process's parent."""

    def ahead(self, address: int) -> Ahead | None:
        """Return who plans for processes whose stage is at `address`, where that can be done."""

    def adopt(self, choice: RuntimeChoice, container: str, cgroup: str, pid: int) -> None:
        """Let the runtime know a container that was started so, to kill and to delete it."""

    def delete(self, choice: RuntimeChoice, container: str, within: float) -> bool:
        """Remove what is left of a container that has ended; False when it runs on in part."""

    def memory(self, cgroup: str) -> MemoryEvents | None:
        """Return the memory events of a container's cgroup, where there are any."""

    def sweep(self, choice: RuntimeChoice, container: str, cgroup: str) -> None:
        """Kill and remove what a container has left whose shim, and maybe init, are gone."""
