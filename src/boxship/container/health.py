"""Health checks: when the next probe is due, what its result means, and the loop that asks.

What a result means is pure (`after_probe`); the loop only waits, probes and stores.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from boxship.lib import duration, moments
from boxship.model.ids import ContainerId
from boxship.spec.engine.common import HealthConfig
from boxship.spec.engine.container import ContainerConfig, Health, HealthcheckResult

SECOND: Final = 1_000_000_000
DEFAULT_INTERVAL: Final = 30 * SECOND
DEFAULT_TIMEOUT: Final = 30 * SECOND
DEFAULT_START_INTERVAL: Final = 5 * SECOND
DEFAULT_RETRIES: Final = 3
MOST_OUTPUT: Final = 4096  # bytes of a probe's output that are kept
MOST_RESULTS: Final = 5
DEFAULT_SHELL: Final = ("/bin/sh", "-c")

NONE: Final = "none"
STARTING: Final = "starting"
HEALTHY: Final = "healthy"
UNHEALTHY: Final = "unhealthy"


@dataclass(frozen=True, slots=True)
class Probed:
    """What one probe did; times in nanoseconds since 1970, `output` at most MOST_OUTPUT bytes."""

    began: int
    ended: int
    exit_code: int
    output: str


def command_of(check: HealthConfig | None, shell: Sequence[str]) -> list[str] | None:
    """Return the program that probes, or None where no health check is wanted."""
    test = (check.test if check else None) or []
    match test:
        case ["CMD", *words]:
            return list(words) or None
        case ["CMD-SHELL", *words]:
            return [*(shell or DEFAULT_SHELL), *words]
        case _:
            return None


def wait_before_probe(check: HealthConfig, health: Health, age: int) -> int:
    """Return the nanoseconds until the next probe of a container that is `age` ns old.

    While a container is starting, within its start period, the start interval counts.
    """
    interval = check.interval or DEFAULT_INTERVAL
    start_period = check.start_period or 0
    if health.status == STARTING and age < start_period:
        return min(check.start_interval or DEFAULT_START_INTERVAL, interval)
    return interval


def after_probe(check: HealthConfig, health: Health, probed: Probed, started_at: int) -> Health:
    """Return the health that follows a probe.

    Failures within the start period do not count, until the first success.
    """
    result = HealthcheckResult(
        start=moments.show(probed.began),
        end=moments.show(probed.ended),
        exit_code=probed.exit_code,
        output=probed.output,
    )
    log = [*(health.log or []), result][-MOST_RESULTS:]
    if probed.exit_code == 0:
        return Health(status=HEALTHY, failing_streak=0, log=log)
    start_period = check.start_period or 0
    if health.status == STARTING and probed.began - started_at < start_period:
        return Health(status=STARTING, failing_streak=0, log=log)
    streak = (health.failing_streak or 0) + 1
    failed = streak >= (check.retries or DEFAULT_RETRIES)
    status = UNHEALTHY if failed else health.status
    return Health(status=status, failing_streak=streak, log=log)


def at_start(config: ContainerConfig) -> Health | None:
    """Return the health of a container that starts; None where no health check is wanted."""
    if command_of(config.healthcheck, config.shell or ()) is None:
        return None
    return Health(status=STARTING, failing_streak=0, log=[])


def at_end(health: Health | None) -> Health | None:
    """Return the health of a container whose process has ended; clients know it as unhealthy."""
    return None if health is None else msgspec.structs.replace(health, status=UNHEALTHY)


def status_of(health: Health | None) -> str:
    """Return the word for a container's health."""
    return (health.status if health else None) or NONE


class ProbeTimedOut(Exception):
    """A probe did not end in time, and was killed; `output` is what it said until then."""

    def __init__(self, output: bytes = b"") -> None:
        super().__init__("the probe did not end in time")
        self.output = output


class Patient(Protocol):
    """The container that is probed: how it runs a program, and where its health is kept."""

    async def probe(
        self, container: ContainerId, command: Sequence[str], timeout: float
    ) -> tuple[int, bytes]:
        """Run the command inside and return its exit code and output.

        The command and all that it started are killed after `timeout` seconds (ProbeTimedOut);
        no more than MOST_OUTPUT bytes of its output are kept.
        """

    async def set_health(self, container: ContainerId, health: Health) -> None:
        """Keep the new health, and announce a change of status."""


class Monitor:
    """Probes one container, from its start until the task that runs it is cancelled."""

    def __init__(
        self,
        container: ContainerId,
        check: HealthConfig,
        command: Sequence[str],
        patient: Patient,
        started_at: int,
    ) -> None:
        self._container = container
        self._check = check
        self._command = command
        self._patient = patient
        self._started_at = started_at

    async def run(self, health: Health | None = None) -> None:
        """Probe for ever; `health` is what is known already, after the daemon was restarted."""
        if health is None or not health.status:
            health = Health(status=STARTING, failing_streak=0, log=[])
            await self._patient.set_health(self._container, health)
        while True:
            age = time.time_ns() - self._started_at
            await asyncio.sleep(wait_before_probe(self._check, health, age) / SECOND)
            probed = await self._probe()
            health = after_probe(self._check, health, probed, self._started_at)
            await self._patient.set_health(self._container, health)

    async def _probe(self) -> Probed:
        limit = self._check.timeout or DEFAULT_TIMEOUT
        began = time.time_ns()
        try:
            code, output = await self._patient.probe(self._container, self._command, limit / SECOND)
            text = output[:MOST_OUTPUT].decode(errors="replace")
        except ProbeTimedOut as late:
            code = -1
            said = late.output.decode(errors="replace")
            text = f"Health check exceeded timeout ({duration.show(limit)})"
            text = f"{text}: {said}"[:MOST_OUTPUT] if said else text
        except Exception as failure:  # whatever keeps a probe from running is its result
            code, text = -1, str(failure)
        return Probed(began, time.time_ns(), code, text)
