"""What a solver does with long graphs, and what it records of steps that end badly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from boxship.build.cache.record import Layer
from boxship.build.cache.records import Records
from boxship.build.errors import BuildFailed
from boxship.build.filesystems import Layers, Value
from boxship.build.ops import SCRATCH, About, Action, Files, MakeFolder, Ref, Source, Vertex
from boxship.build.solver.job import Job
from boxship.build.solver.performing import Wish
from boxship.build.solver.solver import Solver
from boxship.build.sources.source import Fetched
from boxship.errors import InvalidRequest
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest
from boxship.store.database import Database

MADE = ChainId(Digest.of(b"made"))


class HalfWay:
    """Makes a layer, and fails then."""

    async def perform(self, wish: Wish) -> dict[int, Value]:
        wish.made.append(Layer(MADE, None, "half", 1, 1))
        raise InvalidRequest("the second half is missing")


def test_layers_of_a_step_that_failed_are_litter(tmp_path: Path) -> None:
    records = Records(Database(str(tmp_path / "db")), lambda: 1)
    anything: Any = SimpleNamespace()
    solver = Solver(records, anything, anything, HalfWay())  # type: ignore[arg-type]
    vertex = Vertex(Files((Action(MakeFolder("/a"), SCRATCH, output=0),)))
    asker: Any = SimpleNamespace(no_cache=None, sessions=(), keep_failed=False)

    async def solve() -> None:
        with records.holding() as held:
            with pytest.raises(BuildFailed, match="second half"):
                await solver.solve([Ref(vertex)], Job(asker, held, lambda told: None))
            assert not records.take_litter()  # the build may still stand on it

    asyncio.run(solve())
    assert MADE not in records.layers
    assert records.take_litter()


class Counting:
    """Makes a layer of each vertex, and fails at one."""

    def __init__(self, bad: Vertex | None = None) -> None:
        self.done: list[Vertex] = []
        self._bad = bad

    async def perform(self, wish: Wish) -> dict[int, Value]:
        self.done.append(wish.vertex)
        if wish.vertex == self._bad:
            raise InvalidRequest("this one is bad")
        chain = ChainId(Digest.of(wish.vertex.digest.encode()))
        wish.made.append(Layer(chain, None, "", 1, 1))
        return {0: Layers(chain)}


def ladder(length: int) -> list[Vertex]:
    """Vertices that each stand on the two before them."""
    found: list[Vertex] = []
    for number in range(length):
        inputs = tuple(Ref(vertex) for vertex in found[-2:])
        first = 0 if inputs else SCRATCH
        actions = (Action(MakeFolder(f"/{number}"), first, output=0),)
        found.append(Vertex(Files(actions), inputs))
    return found


def test_a_graph_of_any_depth_is_solved_once_and_then_found(tmp_path: Path) -> None:
    records = Records(Database(str(tmp_path / "db")), lambda: 1)
    filesystems: Any = SimpleNamespace(has=lambda chain: True)
    asker: Any = SimpleNamespace(sessions=(), keep_failed=False)
    vertices = ladder(500)

    async def solve(performing: Counting) -> list[Value]:
        solver = Solver(records, filesystems, SimpleNamespace(), performing)  # type: ignore[arg-type]
        with records.holding() as held:
            return await solver.solve([Ref(vertices[-1])], Job(asker, held, lambda told: None))

    failing = Counting(vertices[150])
    with pytest.raises(BuildFailed, match="bad") as failure:
        asyncio.run(solve(failing))
    assert failure.value.vertex == vertices[150]
    first, again = Counting(), Counting()
    assert asyncio.run(solve(first)) == asyncio.run(solve(again))
    assert first.done == vertices[150:]
    assert again.done == []


def step(name: str, *inputs: Vertex) -> Vertex:
    """A vertex that makes a folder on the first of its inputs."""
    actions = (Action(MakeFolder(f"/{name}"), 0, output=0),)
    return Vertex(Files(actions), tuple(map(Ref, inputs)), about=About(name=name))


def test_what_stands_on_a_quick_source_does_not_wait_for_a_slow_one(tmp_path: Path) -> None:
    records = Records(Database(str(tmp_path / "db")), lambda: 1)
    filesystems: Any = SimpleNamespace(has=lambda chain: True)
    asker: Any = SimpleNamespace(sessions=(), keep_failed=False)
    quick, slow = (Vertex(Source(f"docker-image://{name}")) for name in ("quick", "slow"))
    first = step("first", quick)
    last = step("last", first, slow)
    order: list[str] = []
    begun = asyncio.Event()

    class Performing(Counting):
        async def fetch(self, source: Source, *_: object) -> Fetched:
            if source.identifier.endswith("slow"):
                await begun.wait()
            order.append(source.identifier)
            return Fetched(
                Layers(ChainId(Digest.of(source.identifier.encode()))), source.identifier
            )

        async def perform(self, wish: Wish) -> dict[int, Value]:
            order.append(wish.vertex.about.name)
            begun.set()
            return await super().perform(wish)

    async def solve() -> None:
        solver = Solver(records, filesystems, SimpleNamespace(), Performing())  # type: ignore[arg-type]
        with records.holding() as held:
            await solver.solve([Ref(last)], Job(asker, held, lambda told: None))

    asyncio.run(asyncio.wait_for(solve(), 10))
    assert order == ["docker-image://quick", "first", "docker-image://slow", "last"]
