"""What the solver tells of its work while it works; the doors show it in their own words.

Times are nanoseconds since the epoch. What is told of one vertex comes in order; a vertex is
announced before anything else is said of it. The shapes are those of BuildKit's StatusResponse
(api/services/control/control.proto).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from boxship.build.ops import Place
from boxship.spec.digest import Digest


@dataclass(frozen=True, slots=True)
class VertexState:
    """How far a vertex is; told again, whole, at each change."""

    digest: Digest
    name: str
    inputs: tuple[Digest, ...] = ()
    cached: bool = False
    started: int = 0
    completed: int = 0
    error: str = ""
    group: str = ""


@dataclass(frozen=True, slots=True)
class PartState:
    """How far a part of a vertex is: a layer, a transfer, an export."""

    vertex: Digest
    id: str
    name: str = ""
    current: int = 0
    total: int = 0
    at: int = 0
    started: int = 0
    completed: int = 0


@dataclass(frozen=True, slots=True)
class Output:
    """What a vertex's process has written; stream 1 or 2."""

    vertex: Digest
    stream: int
    data: bytes
    at: int


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning, of a vertex or of the front end."""

    vertex: Digest
    level: int
    short: bytes
    detail: tuple[bytes, ...] = ()
    url: str = ""
    file: str = ""
    places: tuple[Place, ...] = ()
    text: bytes = b""  # the whole file, so that the places can be shown


Told = VertexState | PartState | Output | Warned
Report = Callable[[Told], None]
"""Takes what is told; called from any thread, and never blocks."""
