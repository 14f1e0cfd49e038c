"""What an engine could leave behind on a host, counted before and after."""

from __future__ import annotations

import contextlib
import glob
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Ledger:
    """Names of kernel objects that carry one engine's marks; empty when it left nothing."""

    mounts: frozenset[str]
    processes: frozenset[str]
    links: frozenset[str]
    tables: frozenset[str]
    cgroups: frozenset[str]
    namespaces: frozenset[str]
    sockets: frozenset[str]

    def left(self, bridge: str) -> dict[str, list[str]]:
        """Return what should not be here once an engine without containers has ended, by kind.

        Its bridge stays, and the bridge's rules with it, as another engine's do.
        """
        kept = [line for line in self.tables if line.split()[-1] == f"boxship_{bridge}"]
        return self.beyond(replace(EMPTY, links=frozenset({bridge}), tables=frozenset(kept)))

    def beyond(self, before: Ledger) -> dict[str, list[str]]:
        """Return what is here now and was not before, by kind."""
        gained = {
            field.name: sorted(getattr(self, field.name) - getattr(before, field.name))
            for field in fields(self)
        }
        return {kind: names for kind, names in gained.items() if names}


EMPTY = Ledger(*[frozenset[str]()] * 7)


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def _processes(root: str) -> Iterator[tuple[str, str]]:
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
            words = file.read().replace(b"\0", b" ").decode(errors="replace")
            if root in words:
                yield entry, words.strip()


def _cgroups(parent: str) -> Iterator[str]:
    """Every group below one, in every hierarchy; the parent itself is an engine's to keep."""
    for top in group_folders(parent):
        for folder, names, _ in os.walk(top):
            yield from (os.path.join(folder, below) for below in names)


def group_folders(group: str) -> list[str]:
    """Return where a control group may be: in the one hierarchy, or in several."""
    name = group.strip("/")
    return [f"/sys/fs/cgroup/{name}", *glob.glob(f"/sys/fs/cgroup/*/{name}")]


def sweep_groups(parent: str) -> None:
    """Remove a control group and all below it, as far as nothing is in them."""
    for top in group_folders(parent):
        for folder, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def _namespaces(bridge: str) -> Iterator[str]:
    """Network namespaces that nobody's process lives in, but a mount holds."""
    with open("/proc/self/mountinfo", encoding="ascii", errors="replace") as file:
        yield from (line.split()[4] for line in file if " nsfs " in line and bridge in line)


def take(root: str, bridge: str, cgroup_parent: str) -> Ledger:
    """Count what carries the marks of the engine with these names."""
    with open("/proc/self/mountinfo", encoding="ascii", errors="replace") as file:
        mounts = {line.split()[4] for line in file if root in line}
    links = {line.split(":")[1].strip() for line in _lines("ip", "-o", "link") if bridge in line}
    tables = {line for line in _lines("nft", "list", "tables") if bridge in line}
    with open("/proc/net/unix", encoding="ascii", errors="replace") as file:
        sockets = {line.split()[-1] for line in file if root in line}
    return Ledger(
        mounts=frozenset(mounts),
        processes=frozenset(words for _, words in _processes(root)),
        links=frozenset(links),
        tables=frozenset(tables),
        cgroups=frozenset(_cgroups(cgroup_parent)),
        namespaces=frozenset(_namespaces(bridge)),
        sockets=frozenset(sockets),
    )
