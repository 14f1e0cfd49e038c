"""What a solver records of steps that end badly."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from boxship.build.cache.record import Layer
from boxship.build.cache.records import Records
from boxship.build.errors import BuildFailed
from boxship.build.filesystems import Value
from boxship.build.ops import SCRATCH, Action, Files, MakeFolder, Ref, Vertex
from boxship.build.solver.job import Job
from boxship.build.solver.performing import Wish
from boxship.build.solver.solver import Solver
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
