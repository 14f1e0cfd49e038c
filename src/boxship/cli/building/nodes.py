"""What runs behind a builder's name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boxship.cli.building.remote import ask
from boxship.errors import BoxshipError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from boxship.cli.building.builders import Builder
    from boxship.cli.shell import Shell
    from boxship.client.builds import Builds
    from boxship.spec.buildkit import control_pb2 as pb


@dataclass(slots=True)
class Node:
    """Whether it answers, and what it is; `problem` tells why it does not."""

    status: str = "inactive"
    version: str = ""
    platforms: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)
    problem: str = ""


def node_of(shell: Shell, builder: Builder, within: float) -> Node:
    """Ask a builder what it is."""

    async def question(builds: Builds) -> Sequence[pb.Worker]:
        async with asyncio.timeout(within):
            return await builds.workers()

    try:
        workers = ask(shell, question, builder)
    except (BoxshipError, OSError) as error:
        return Node(problem=str(error))
    node = Node("running")
    for worker in workers:
        node.version = worker.version.version
        node.platforms += platforms_of(worker)
        node.labels.update(worker.labels)
        node.policies += policies_of(worker)
    return node


def platforms_of(worker: pb.Worker) -> list[str]:
    """Return the platforms that a worker builds for."""
    return [
        "/".join(part for part in (p.os, p.architecture, p.variant) if part)
        for p in worker.platforms
    ]


def policies_of(worker: pb.Worker) -> list[str]:
    """Return how a worker cleans its cache up, a text for each rule."""
    from boxship.lib.units import binary_size

    found: list[str] = []
    for number, rule in enumerate(worker.gc_policy):
        lines = [f"GC Policy rule#{number}:", f" All:           {str(rule.all).lower()}"]
        if rule.filters:
            lines.append(f" Filters:       {','.join(rule.filters)}")
        for name, amount in (
            ("Keep Bytes", rule.reserved_space),
            ("Max Used", rule.max_used_space),
            ("Min Free", rule.min_free_space),
        ):
            if amount:
                lines.append(f" {name + ':':<14} {binary_size(amount)}")
        found.append("\n".join(lines))
    return found
