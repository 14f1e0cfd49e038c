"""`localhost` is this machine, whoever answers for names."""

from __future__ import annotations

import asyncio
import socket

import pytest

from boxship.distribution import resolver


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST.", "registry.localhost"])
def test_localhost_is_looked_up_nowhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    async def resolved(family: socket.AddressFamily) -> list[tuple[str, int]]:
        found = await resolver.make().resolve(name, 5000, family)
        return [(one["host"], one["port"]) for one in found]

    both = [("127.0.0.1", 5000), ("::1", 5000)]
    assert asyncio.run(resolved(socket.AF_UNSPEC)) == both
    assert asyncio.run(resolved(socket.AF_INET)) == both[:1]


@pytest.mark.parametrize("name", ["localhost.example.com", "notlocalhost", "example.com"])
def test_other_names_are_asked_for(name: str) -> None:
    assert not resolver.is_local(name)
