"""What a definition consists of: attributes, and blocks with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from boxship.lib.hcl.nodes import Node
from boxship.lib.hcl.source import Span


@dataclass(slots=True)
class Body:
    """Attributes by name, and blocks in order."""

    span: Span
    attributes: dict[str, Node] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


@dataclass(slots=True)
class Block:
    """`kind "label" { … }`; `span` is its head."""

    span: Span
    kind: str
    labels: Sequence[str]
    body: Body
