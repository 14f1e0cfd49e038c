"""Telling of work that is no vertex of the graph: exports, imports of caches, pulls of bases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from boxship.build.progress import PartState, Report, VertexState
from boxship.build.sources.source import Tell as TellPart
from boxship.build.sources.source import Told
from boxship.errors import BoxshipError
from boxship.spec.digest import Digest


class Tell:
    """Tells of the parts of such work."""

    def __init__(self, report: Report, vertex: Digest) -> None:
        self._report = report
        self._vertex = vertex

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Tell of a part that takes as long as the block."""
        began = time.time_ns()
        self._report(PartState(self._vertex, name, name, at=began, started=began))
        yield
        now = time.time_ns()
        self._report(PartState(self._vertex, name, name, 0, 0, now, began, now))

    def done(self, name: str) -> None:
        """Tell of a part that is done."""
        with self(name):
            pass

    def part(self, name: str, current: int, total: int) -> None:
        """Tell how far a part is."""
        now = time.time_ns()
        self._report(PartState(self._vertex, name, name, current, total, now, now))


@contextmanager
def announced(report: Report, name: str) -> Iterator[Tell]:
    """Tell of work that is no vertex of the graph as if it were one."""
    began = time.time_ns()
    vertex = Digest.of(f"{name} {began}".encode())
    state = VertexState(vertex, name, started=began)
    report(state)
    try:
        yield Tell(report, vertex)
    except (BoxshipError, OSError) as error:
        report(replace(state, completed=time.time_ns(), error=str(error)))
        raise
    report(replace(state, completed=time.time_ns()))


@contextmanager
def announced_late(report: Report, name: str) -> Iterator[TellPart]:
    """Tell of work as if it were a vertex, once there is something to tell of a part of it."""
    state = VertexState(
        Digest.of(f"{name} {time.time_ns()}".encode()), name, started=time.time_ns()
    )
    begun = False

    def tell(told: Told) -> None:
        nonlocal begun
        if not begun:
            begun = True
            report(state)
        report(part_of(state.digest, told))

    try:
        yield tell
    except (BoxshipError, OSError) as error:
        if begun:
            report(replace(state, completed=time.time_ns(), error=str(error)))
        raise
    if begun:
        report(replace(state, completed=time.time_ns()))


def part_of(vertex: Digest, told: Told) -> PartState:
    """Return what a source tells as what is told of a vertex."""
    now = time.time_ns()
    done = now if told.done else 0
    return PartState(vertex, told.id, told.name, told.current, told.total, now, now, done)
