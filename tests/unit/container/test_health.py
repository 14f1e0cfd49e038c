"""When a probe is due, and what its result means."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from boxship.container import health as h
from boxship.container import probes
from boxship.model.ids import ContainerId
from boxship.spec.engine.common import HealthConfig
from boxship.spec.engine.container import Health

SECOND = h.SECOND
NEW = Health(status=h.STARTING, failing_streak=0, log=[])


def probed(code: int, at: int = 100 * SECOND) -> h.Probed:
    return h.Probed(at, at + SECOND, code, "said")


@pytest.mark.parametrize(
    ("test", "command"),
    [
        (["CMD", "true"], ["true"]),
        (["CMD-SHELL", "a && b"], ["/bin/sh", "-c", "a && b"]),
        (["NONE"], None),
        ([], None),
        (["CMD"], None),
    ],
)
def test_the_command_comes_from_the_form(test: list[str], command: list[str] | None) -> None:
    assert h.command_of(HealthConfig(test=test), ()) == command


def test_a_shell_of_the_image_runs_the_shell_form() -> None:
    check = HealthConfig(test=["CMD-SHELL", "x"])
    assert h.command_of(check, ["/bin/ash", "-ec"]) == ["/bin/ash", "-ec", "x"]


def test_failures_count_until_the_retries_are_used_up() -> None:
    check, health = HealthConfig(retries=2), NEW
    health = h.after_probe(check, health, probed(1), 0)
    assert (health.status, health.failing_streak) == (h.STARTING, 1)
    health = h.after_probe(check, health, probed(1), 0)
    assert (health.status, health.failing_streak) == (h.UNHEALTHY, 2)
    health = h.after_probe(check, health, probed(0), 0)
    assert (health.status, health.failing_streak) == (h.HEALTHY, 0)


def test_failures_within_the_start_period_do_not_count() -> None:
    check = HealthConfig(retries=1, start_period=10 * SECOND)
    early = h.after_probe(check, NEW, probed(1, at=5 * SECOND), 0)
    assert (early.status, early.failing_streak) == (h.STARTING, 0)
    late = h.after_probe(check, early, probed(1, at=11 * SECOND), 0)
    assert late.status == h.UNHEALTHY


def test_only_the_last_results_are_kept() -> None:
    health = NEW
    for _ in range(20):
        health = h.after_probe(HealthConfig(), health, probed(0), 0)
    assert len(health.log or []) == h.MOST_RESULTS


def test_the_start_interval_counts_while_starting() -> None:
    check = HealthConfig(interval=30 * SECOND, start_period=60 * SECOND, start_interval=SECOND)
    assert h.wait_before_probe(check, NEW, 5 * SECOND) == SECOND
    assert h.wait_before_probe(check, NEW, 61 * SECOND) == 30 * SECOND
    healthy = Health(status=h.HEALTHY)
    assert h.wait_before_probe(check, healthy, 5 * SECOND) == 30 * SECOND


def test_the_monitor_stores_each_result_and_a_timeout_is_a_failure() -> None:
    seen: list[Health] = []

    class Patient:
        def __init__(self) -> None:
            self.answers = [(0, b"fine"), h.ProbeTimedOut(), (1, b"x" * 9000)]

        async def probe(
            self, container: ContainerId, command: Sequence[str], timeout: float
        ) -> tuple[int, bytes]:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        async def set_health(self, container: ContainerId, health: Health) -> None:
            seen.append(health)
            if len(seen) == 4:
                raise asyncio.CancelledError

    check = HealthConfig(interval=1, timeout=3 * SECOND, retries=3)
    monitor = h.Monitor(ContainerId("c"), check, ["true"], Patient(), 0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(monitor.run())
    assert [health.status for health in seen] == ["starting", "healthy", "healthy", "healthy"]
    last = (seen[-1].log or [])[-2:]
    assert last[0].output == "Health check exceeded timeout (3s)"
    assert len(last[1].output or "") == h.MOST_OUTPUT


def test_only_a_probes_id_is_one() -> None:
    one, other = ContainerId("a" * 64), ContainerId("b" * 64)
    made = probes.new_id(one)
    assert len(made) == 64
    assert probes.is_probe(one, made)
    assert not probes.is_probe(other, made)
    assert not probes.is_probe(one, "0" * 64)
    assert made != probes.new_id(one)
