"""What runs behind a builder's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
    ids: list[str] = field(default_factory=list)
    platforms: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)
    policies: list[str] = field(default_factory=list)
    problem: str = ""


def node_of(shell: Shell, builder: Builder, within: float) -> Node:
    """Ask a builder what it is."""

    async def question(builds: Builds) -> Sequence[pb.Worker]:
        return await builds.workers()

    try:
        workers = ask(shell, question, builder, within)
    except (BoxshipError, OSError) as error:
        return Node(problem=str(error))
    node = Node("running")
    for worker in workers:
        node.version = worker.version.version
        node.ids.append(worker.id)
        node.platforms += platforms_of(worker)
        node.labels.update(worker.labels)
        node.policies += policies_of(worker)
    return node


def document(builder: Builder, node: Node, *, current: bool) -> dict[str, Any]:
    """Return a builder as JSON, with docker buildx's names."""
    said: dict[str, Any] = {"Name": builder.node, "Endpoint": builder.endpoint or builder.name}
    if builder.options:
        said["DriverOpts"] = builder.options
    said["Status"] = node.status
    for key, value in (
        ("Version", node.version),
        ("Err", node.problem),
        ("IDs", node.ids),
        ("Platforms", node.platforms),
        ("Labels", dict(sorted(node.labels.items()))),
    ):
        if value:
            said[key] = value
    return {
        "Name": builder.name,
        "Driver": builder.driver,
        "Current": current,
        "Dynamic": False,
        "Nodes": [said],
    }


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
