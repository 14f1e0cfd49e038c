"""One registry for this process's tests of the distribution specification."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from tests.support.registry_server import RegistryServer, registry_server

NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A server that allows deleting."""
    folder = tmp_path_factory.mktemp("registry")
    with registry_server(folder, storage={"delete": {"enabled": True}}) as made:
        yield made


@pytest.fixture
def name() -> str:
    """A repository that no other test uses."""
    return f"conformance/r{next(NUMBERS)}"
