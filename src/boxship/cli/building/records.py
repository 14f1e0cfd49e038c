"""The build cache's records as tables show them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from boxship.lib.units import human_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxship.cli.shell import Shell
    from boxship.spec.buildkit import control_pb2 as pb

TITLES = f"{'ID':<43}\t{'RECLAIMABLE':<11}\t{'SIZE':<10}\t{'LAST ACCESSED'}"


def row(one: pb.UsageRecord) -> str:
    """Return one line of the table."""
    id = one.id + ("*" if one.mutable else "")
    size = human_size(one.size) + ("*" if one.shared else "")
    return (
        f"{id:<43}\t{str(not one.in_use).lower():<11}\t{size:<10}\t{ago(one.last_used_at.seconds)}"
    )


def details(one: pb.UsageRecord) -> str:
    """Return all that is known of one, line by line."""
    lines = [
        ("ID", one.id),
        ("Parents", ", ".join(one.parents)),
        ("Created at", one.created_at.ToJsonString()),
        ("Mutable", str(one.mutable).lower()),
        ("Reclaimable", str(not one.in_use).lower()),
        ("Shared", str(one.shared).lower()),
        ("Size", human_size(one.size)),
        ("Description", one.description),
        ("Usage count", str(one.usage_count)),
        ("Last used", ago(one.last_used_at.seconds)),
        ("Type", one.record_type),
    ]
    return "\n".join(f"{key + ':':<14}{value}" for key, value in lines if value) + "\n"


def ago(at: int) -> str:
    """Return how long ago something was, roughly."""
    if not at:
        return ""
    left = max(0, int(time.time()) - at)
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if left >= size:
            number = left // size
            return f"{number} {name}{'s' if number > 1 else ''} ago"
    return f"{left} second{'s' if left != 1 else ''} ago"


def summary(shell: Shell, found: Sequence[pb.UsageRecord]) -> None:
    """Print what all of it comes to."""
    shared = sum(one.size for one in found if one.shared)
    total = sum(one.size for one in found)
    free = sum(one.size for one in found if not one.in_use)
    if shared:
        shell.out.line(f"Shared:\t\t{human_size(shared)}")
        shell.out.line(f"Private:\t{human_size(total - shared)}")
    shell.out.line(f"Reclaimable:\t{human_size(free)}")
    shell.out.line(f"Total:\t\t{human_size(total)}")
