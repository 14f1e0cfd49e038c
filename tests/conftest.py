"""What all tests share: how slow ones are asked for, and engines to talk to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.engine import PATIENCE, SPREAD, Engine, engine_number, private_engine

settings.register_profile("untimed", deadline=None)  # a loaded machine is no failure
settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the long tests too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip_slow = pytest.mark.skip(reason="takes long; --slow runs it")
    skip_root = pytest.mark.skip(reason="needs root")
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(skip_slow)
        if "root" in item.keywords and os.geteuid() != 0:
            item.add_marker(skip_root)
        limit = item.get_closest_marker("timeout")
        if limit and PATIENCE != 1:
            item.add_marker(pytest.mark.timeout(limit.args[0] * PATIENCE), append=False)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """An engine shared by this process's tests, with a busybox image; it must leave nothing."""
    number = engine_number()
    with private_engine(number) as made:
        made.boxship("image", "bootstrap", "busybox")
        yield made


@pytest.fixture
def own_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine for one test, which may kill and restart it."""
    flags = getattr(request, "param", ())
    with private_engine(engine_number() + SPREAD, flags) as made:
        yield made
