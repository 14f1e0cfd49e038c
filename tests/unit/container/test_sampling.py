"""One sample a period, however many watch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from types import SimpleNamespace
from typing import cast

import pytest

from boxship.container import sampling
from boxship.container.background import Background
from boxship.container.containers import Containers
from boxship.container.lifecycle import State
from boxship.container.record import Container, Run
from boxship.container.registry import Cell
from boxship.model.ids import ContainerId
from boxship.runtime.cgroups.stats import CgroupStats
from boxship.spec.engine.container import ContainerConfig, HostConfig

HERE = "c" * 64


class Group:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def stats(self) -> CgroupStats:
        self.asked += 1
        return CgroupStats(unified=True)


class Fake:
    """As much of Containers as a sampler needs."""

    def __init__(self, *ids: str) -> None:
        self.kept = {name: cell_of(name) for name in ids or (HERE,)}
        self.group = Group()
        self.registry = SimpleNamespace(get=self.kept.get)
        self.background = Background()

    def find(self, ref: str) -> Cell:
        return self.kept[ref]

    def cgroup(self, cell: Cell) -> Group:
        return self.group


def cell_of(name: str) -> Cell:
    return Cell(
        Container(
            id=ContainerId(name), name="one", created=0, image="",
            config=ContainerConfig(), host_config=HostConfig(network_mode="host"),
            state=State.RUNNING, run=Run(pid=1),
        )
    )  # fmt: skip


@pytest.fixture(autouse=True)
def short_period(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "PERIOD", 0.01)


def test_many_watchers_cost_one_sample_and_none_costs_nothing() -> None:
    async def story() -> None:
        fake = Fake()
        sampler = sampling.Sampler(cast(Containers, fake))

        async def watch() -> list[str | None]:
            async with aclosing(sampler.watch(HERE)) as samples:
                return [sample.read async for sample, _ in _counted(samples, 5)]

        seen = await asyncio.gather(*(watch() for _ in range(50)))
        assert fake.group.asked < 50
        assert all(len(set(reads)) == 5 for reads in seen)
        await asyncio.sleep(0)
        asked = fake.group.asked
        await asyncio.sleep(0.05)
        assert fake.group.asked <= asked + 1  # at most the one that was being taken

    asyncio.run(story())


def test_samples_of_all_are_taken_in_one_visit_to_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [letter * 64 for letter in "abc"]
    together: list[int] = []
    measure = sampling.Sampler._measure_each

    def counted(sampler: sampling.Sampler, cells: Sequence[Cell]) -> object:
        together.append(len(cells))
        return measure(sampler, cells)

    monkeypatch.setattr(sampling.Sampler, "_measure_each", counted)

    async def story() -> None:
        sampler = sampling.Sampler(cast(Containers, Fake(*names)))

        async def watch(name: str) -> None:
            async with aclosing(sampler.watch(name)) as samples:
                async for _ in _counted(samples, 4):
                    pass

        await asyncio.gather(*map(watch, names))

    asyncio.run(story())
    assert together[:3] == [1, 1, 1]  # who comes does not wait
    assert 3 in together[3:]


def test_what_one_cannot_tell_is_not_the_others_loss() -> None:
    async def story() -> None:
        names = ["a" * 64, "b" * 64]
        fake = Fake(*names)
        sampler = sampling.Sampler(cast(Containers, fake))
        bad = fake.kept[names[0]]

        def cgroup(cell: Cell) -> Group:
            if cell is bad:
                raise OSError("no such figures")
            return fake.group

        fake.cgroup = cgroup  # type: ignore[method-assign]

        async def watch(name: str) -> int:
            async with aclosing(sampler.watch(name)) as samples:
                return len([sample async for sample in _counted(samples, 3)])

        assert await asyncio.gather(*map(watch, names)) == [0, 3]

    asyncio.run(asyncio.wait_for(story(), 10))


def test_a_pair_has_what_came_before() -> None:
    async def story() -> None:
        sampler = sampling.Sampler(cast(Containers, Fake()))
        sample = await sampler.pair(HERE)
        assert sampling.stats.NEVER not in (sample.read, sample.preread)

    asyncio.run(story())


def test_removal_ends_the_watch() -> None:
    async def story() -> None:
        fake = Fake()
        sampler = sampling.Sampler(cast(Containers, fake))
        async with aclosing(sampler.watch(HERE)) as samples:
            async for _ in samples:
                fake.kept.clear()

    asyncio.run(asyncio.wait_for(story(), 10))


async def _counted(samples, most):  # type: ignore[no-untyped-def]
    number = 0
    async for sample in samples:
        yield sample, number
        number += 1
        if number == most:
            return
