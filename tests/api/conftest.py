"""The API over a real socket: `serve(modules, parts)` gives a server and its client, `api` a client
of a real engine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.engine import Engine
from tests.support.rawapi import Api
from tests.support.serving import Served, serving

Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as undo:

        def start(modules: list[Any], parts: Any = None, **options: Any) -> Served:
            folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="bx-api-"))
            return undo.enter_context(serving(Path(folder), modules, parts, **options))

        yield start


@pytest.fixture
def api(engine: Engine) -> Iterator[Api]:
    made = Api(engine)
    yield made
    made.close()
