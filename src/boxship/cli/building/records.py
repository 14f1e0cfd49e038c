"""The build cache's records as tables show them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from boxship.errors import InvalidRequest
from boxship.lib.units import human_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

    from boxship.cli.formatter import Listing
    from boxship.cli.shell import Shell
    from boxship.spec.buildkit import control_pb2 as pb

TITLES = ("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED")
TAB = 8
COLUMN = 16  # of the names of what is known of one


def tabbed(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows with tabs between columns, as wide as the widest of each."""
    widths = [
        -(-(max(len(row[place]) for row in rows) + 1) // TAB) * TAB
        for place in range(len(rows[0]) - 1)
    ]
    return [
        "".join(
            cell + "\t" * -(-(width - len(cell)) // TAB)
            for cell, width in zip(row, widths, strict=False)
        )
        + row[-1]
        for row in rows
    ]


def table(found: Sequence[pb.UsageRecord]) -> list[str]:
    """Return the table of records."""
    return tabbed([TITLES, *map(_row, found)])


def _row(one: pb.UsageRecord) -> tuple[str, str, str, str]:
    id = one.id + ("*" if one.mutable else "")
    size = human_size(one.size) + ("*" if one.shared else "")
    reclaimable = str(not one.in_use).lower()
    return f"{id:<40}", f"{reclaimable:<5}", f"{size:<10}", ago(one.last_used_at.seconds)


def details(one: pb.UsageRecord) -> str:
    """Return all that is known of one, line by line."""
    parents = "Parents" if len(one.parents) > 1 else "Parent"
    lines = [
        ("ID", one.id),
        (parents, ", ".join(one.parents)),
        ("Created at", moment(one.created_at)),
        ("Mutable", str(one.mutable).lower()),
        ("Reclaimable", str(not one.in_use).lower()),
        ("Shared", str(one.shared).lower()),
        ("Size", human_size(one.size)),
        ("Description", one.description),
        ("Usage count", str(one.usage_count)),
        ("Last used", ago(one.last_used_at.seconds)),
        ("Type", one.record_type),
    ]
    return "".join(pair(key, value) + "\n" for key, value in lines if value)


def pair(key: str, value: str) -> str:
    """Return a name and what it stands for, as a line."""
    return f"{key}:" + "\t" * -(-(COLUMN - len(key) - 1) // TAB) + value


def listing() -> Listing:
    """Return a record's members for templates and JSON."""
    from boxship.cli.formatter import Listing

    return Listing(
        "*commands.duContext",
        "",
        {
            "ID": ("ID", lambda one: one.id),
            "Parents": ("PARENTS", lambda one: list(one.parents)),
            "CreatedAt": ("CREATED AT", lambda one: moment(one.created_at)),
            "Mutable": ("MUTABLE", lambda one: one.mutable),
            "Reclaimable": ("RECLAIMABLE", lambda one: not one.in_use),
            "Shared": ("SHARED", lambda one: one.shared),
            "Size": ("SIZE", lambda one: human_size(one.size)),
            "Description": ("DESCRIPTION", lambda one: one.description),
            "UsageCount": ("USAGE COUNT", lambda one: one.usage_count),
            "LastUsedAt": ("LAST USED AT", lambda one: moment(one.last_used_at)),
            "LastUsedSince": ("LAST ACCESSED", lambda one: ago(one.last_used_at.seconds)),
            "Type": ("TYPE", lambda one: one.record_type),
        },
    )


def conditions(given: Iterable[str]) -> list[str]:
    """Return `--filter`s as the builder takes them: `until` is how long something was not used."""
    found: list[str] = []
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid filter {text!r}, expected key=value")
        if key.endswith(("=", "~", "!")) or value.startswith(("=", "~")):
            found.append(text)
        elif key.endswith("!"):
            found.append(f"{key[:-1]}!={value}")
        else:
            found.append(f"{key}=={value}")
    return found


def moment(at: Timestamp) -> str:
    """Return a time as Go shows it."""
    if not at.seconds:
        return ""
    shown = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at.seconds))
    part = f".{at.nanos:09d}".rstrip("0") if at.nanos else ""
    return f"{shown}{part} +0000 UTC"


def ago(at: int) -> str:
    """Return how long ago something was, roughly."""
    from boxship.lib.duration import human

    return f"{human(max(0, int(time.time()) - at))} ago" if at else ""


def summary(shell: Shell, found: Sequence[pb.UsageRecord], *, everything: bool) -> None:
    """Print what it comes to; of a part only that it is one."""
    shared = sum(one.size for one in found if one.shared)
    total = sum(one.size for one in found)
    free = sum(one.size for one in found if not one.in_use)
    lines = [("Reclaimable", human_size(free)), ("Total", human_size(total))]
    if shared and everything:
        lines = [("Shared", human_size(shared)), ("Private", human_size(total - shared)), *lines]
    for key, value in lines:
        shell.out.line(pair(key, value))
