"""Whether the registry can do its work: each check runs by itself, now and then.

One that has failed as often as its threshold says makes the registry not ready, until it succeeds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from boxship.registry import layout
from boxship.registry.config import Health, HttpHealth, TcpHealth
from boxship.registry.storage.driver import Storage

Probe = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Check:
    """One thing that is looked at."""

    name: str
    probe: Probe
    interval: float
    threshold: int
    failures: int = 0
    problem: str = ""

    @property
    def is_bad(self) -> bool:
        return self.failures >= self.threshold

    async def look(self) -> None:
        """Look once."""
        try:
            await self.probe()
        except Exception as error:  # whatever it is, it is the answer
            self.failures += 1
            self.problem = str(error) or type(error).__name__
        else:
            self.failures, self.problem = 0, ""

    async def run(self) -> None:
        """Look for as long as the server runs."""
        while True:
            await self.look()
            await asyncio.sleep(self.interval)


class Checks:
    """All checks of a server."""

    def __init__(self, section: Health, storage: Storage) -> None:
        self.checks = list(_configured(section, storage))
        self.stopping = False

    def problems(self) -> dict[str, str]:
        """Return what is wrong now, by the check's name."""
        found = {check.name: check.problem for check in self.checks if check.is_bad}
        if self.stopping:
            found["server"] = "it is stopping"
        return found


def _configured(section: Health, storage: Storage) -> Iterator[Check]:
    if section.storagedriver.enabled:
        given = section.storagedriver
        yield Check("storagedriver", _storage(storage), given.interval, given.threshold)
    for file in section.file:
        yield Check(f"file {file.file}", _absent(file.file), file.interval, 1)
    for http in section.http:
        yield Check(f"http {http.uri}", _http(http), http.interval, http.threshold)
    for tcp in section.tcp:
        yield Check(f"tcp {tcp.addr}", _tcp(tcp), tcp.interval, tcp.threshold)


def _storage(storage: Storage) -> Probe:
    async def probe() -> None:
        await asyncio.to_thread(storage.names, layout.BASE)

    return probe


def _absent(path: str) -> Probe:
    """A file that is there takes the registry out of service: people make it on purpose."""

    async def probe() -> None:
        if os.path.exists(path):
            raise OSError("the file exists")

    return probe


def _http(section: HttpHealth) -> Probe:
    async def probe() -> None:
        import aiohttp

        headers = [
            (name, one)
            for name, values in section.headers.items()
            for one in ([values] if isinstance(values, str) else values)
        ]
        timeout = aiohttp.ClientTimeout(total=section.timeout)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.head(section.uri, headers=headers) as answer,
        ):
            if answer.status != section.statuscode:
                raise OSError(f"it answered {answer.status} instead of {section.statuscode}")

    return probe


def _tcp(section: TcpHealth) -> Probe:
    async def probe() -> None:
        host, _, port = section.addr.rpartition(":")
        async with asyncio.timeout(section.timeout):
            _, writer = await asyncio.open_connection(host.strip("[]") or "127.0.0.1", int(port))
            writer.close()
            await writer.wait_closed()

    return probe
