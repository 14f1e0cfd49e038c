"""A registry that misbehaves when it is told to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.asking import DATA
from tests.support.faulty_registry import FaultyRegistry
from tests.support.images import archive


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as made:
        made.add("a/b", "1", [archive(("x", b"x", {}))])
        made.add_blob("a/b", DATA)
        yield made
