"""BuildKit's doors: a connection is turned over only to a builder that is there."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from boxship.api.building import Building
from boxship.api.buildkit import Doors
from boxship.api.routes import session


class Broken(Exception):
    """What cannot be put together."""


@pytest.mark.parametrize("route", [session.session, session.grpc])
def test_a_builder_that_cannot_be_had_is_told_of_before_http_is_given_up(route: Any) -> None:
    """A client once waited for ever on a connection that nobody served."""

    async def put_together() -> Any:
        raise Broken

    async def switch(name: str) -> Any:
        raise AssertionError("HTTP was given up")

    call = SimpleNamespace(wants_upgrade=True, headers={}, switch=switch)
    doors = Doors(Building(put_together), SimpleNamespace())  # type: ignore[arg-type]
    doors.check_session = lambda headers: None  # type: ignore[method-assign]
    with pytest.raises(Broken):
        asyncio.run(route(call, doors))
