"""The host as shims see it: its runtimes and its cgroups."""

from __future__ import annotations

from boxship.errors import InvalidRequest
from boxship.kernel.syscalls import MACHINE
from boxship.runtime import cgroups
from boxship.runtime.ahead import Ahead
from boxship.runtime.api import Runtime
from boxship.runtime.cgroups.errors import CgroupBusy
from boxship.runtime.native import NativeRuntime
from boxship.runtime.stub import STUBS
from boxship.shim.needs import MemoryEvents
from boxship.shim.protocol import RuntimeChoice


class ThisHost:
    """Looks at the machine once, so that shims forked later need not."""

    def __init__(self, filters: str | None = None) -> None:
        """`filters` is the folder in which shims find filters that others have compiled."""
        self._tree = cgroups.detect()
        self._native = NativeRuntime(tree=self._tree, filters=filters)

    def runtime(self, choice: RuntimeChoice) -> Runtime:
        """Return our own runtime, or the command line of another."""
        if choice.path is not None:
            # Few shims need it, and it brings much: it is not in what all are copied from.
            from boxship.runtime.foreign import ForeignRuntime

            return ForeignRuntime(choice.path, choice.args, choice.root, folders=choice.folders)
        if choice.name != "native":
            raise InvalidRequest(f"unknown or invalid runtime name: {choice.name}")
        return self._native

    def plans_for(self, choice: RuntimeChoice) -> bool:
        """Another runtime makes plans of its own."""
        return choice.path is None

    def start_siblings(self) -> None:
        """Have our own runtime start children of this process's parent."""
        self._native.start_siblings()

    def ahead(self, address: int) -> Ahead | None:
        """Return who plans for our own runtime, where a stub can perform what is planned."""
        return Ahead(self._native.plans, address) if MACHINE in STUBS else None

    def adopt(self, choice: RuntimeChoice, container: str, cgroup: str, pid: int) -> None:
        """Tell our own runtime of a container."""
        self._native.adopt(container, cgroup)

    def delete(self, choice: RuntimeChoice, container: str, within: float) -> bool:
        """Remove a container's cgroup and what its runtime keeps; another's takes its time."""
        if choice.path is not None:
            self.runtime(choice).delete(container)
            return True
        try:
            self._native.delete(container, within)
        except CgroupBusy:
            return False
        return True

    def memory(self, cgroup: str) -> MemoryEvents | None:
        """Return a container's cgroup."""
        group = self._tree.open(cgroup)
        return group if group.exists() else None

    def sweep(self, choice: RuntimeChoice, container: str, cgroup: str) -> None:
        """Kill and remove what a container has left; our own runtime keeps a cgroup and no more."""
        if choice.path is not None:
            foreign = self.runtime(choice)
            foreign.kill_all(container)
            foreign.delete(container)
        group = self._tree.open(cgroup) if cgroup else None
        if group and group.exists():
            group.kill()
            group.remove()
