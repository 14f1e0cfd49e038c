"""One build as the solver sees it: what is known of its vertices, and what is told of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from boxship.build.announcing import part_of
from boxship.build.cache.records import Held
from boxship.build.cache.remote import Remote
from boxship.build.errors import BuildFailed
from boxship.build.filesystems import Layers, Value
from boxship.build.naming import name_of
from boxship.build.ops import Vertex
from boxship.build.progress import Report, VertexState
from boxship.build.sources.source import Asker, Fetched, Told
from boxship.errors import BoxshipError
from boxship.snapshot.driver import ChainId

Outputs = Mapping[int, Value]


@dataclass(frozen=True, slots=True)
class Keyed:
    """A vertex that is known: by its identity and, where they are kept, its results.

    A fresh one was never seen before, so that nothing that stands on it can be kept either. One
    of a remote cache was seen elsewhere: its results are fetched when they are wanted. A passing
    one stands on a client's folder, which gets another identity each time: its key is not kept.
    """

    identity: str
    outputs: Outputs | None
    fresh: bool = False
    key: str = ""
    remote: bool = False
    passing: bool = False


@dataclass(slots=True)
class Job:
    """One build as the solver sees it."""

    asker: Asker
    held: Held
    report: Report
    entitlements: frozenset[str] = frozenset()
    remote: Remote | None = None
    keyed: dict[Vertex, Keyed] = field(default_factory=dict)
    solved: dict[Vertex, asyncio.Task[Outputs]] = field(default_factory=dict)
    states: dict[Vertex, VertexState] = field(default_factory=dict)
    fetched: dict[Vertex, Fetched] = field(default_factory=dict)  # what came from outside
    used: list[ChainId | None] = field(default_factory=list)  # and not noted yet
    lasting: frozenset[Vertex] = frozenset()  # whose layers an image will be made of
    archive: Callable[[ChainId, Held], object] = lambda chain, held: None  # is told of theirs

    def outputs(self, vertex: Vertex) -> Outputs | None:
        """Return the results of a vertex, as far as they are known."""
        keyed, solved = self.keyed.get(vertex), self.solved.get(vertex)
        if keyed is not None and keyed.outputs is not None:
            return keyed.outputs
        if solved is None or not solved.done() or solved.cancelled() or solved.exception():
            return None
        return solved.result()

    @contextmanager
    def named(self, vertex: Vertex) -> Iterator[None]:
        """What goes wrong in the block carries the vertex's name."""
        try:
            yield
        except BuildFailed:
            raise
        except (BoxshipError, OSError) as error:
            message = str(error)
            self.tell(vertex, completed=time.time_ns(), error=message)
            raise BuildFailed(message, vertex) from error

    def seen(self, vertex: Vertex, outputs: Outputs) -> None:
        """Say that a vertex, and so all it stands on, need not be done."""
        now = time.time_ns()
        self.tell(vertex, cached=True, started=now, completed=now)
        self.used += [one.chain for one in outputs.values() if isinstance(one, Layers)]

    def tell(
        self,
        vertex: Vertex,
        *,
        cached: bool = False,
        started: int = 0,
        completed: int = 0,
        error: str = "",
    ) -> None:
        """Tell how far a vertex is, if that is news."""
        before = self.states.get(vertex)
        if before is None:
            state = VertexState(
                vertex.digest,
                vertex.about.name or name_of(vertex.op),
                tuple(dict.fromkeys(ref.vertex.digest for ref in vertex.inputs)),
                cached,
                started or completed,
                completed,
                error,
                vertex.about.group,
            )
        else:
            state = replace(
                before,
                cached=cached or before.cached,
                started=before.started or started or completed,
                completed=completed or before.completed,
                error=error or before.error,
            )
        if state != before:
            self.states[vertex] = state
            self.report(state)

    def part(self, vertex: Vertex, told: Told) -> None:
        """Tell how far a part of a vertex is."""
        self.report(part_of(vertex.digest, told))
