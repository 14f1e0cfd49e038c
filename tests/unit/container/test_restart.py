"""Whether what has ended starts again, and when."""

from __future__ import annotations

import pytest

from boxship.container.restart import (
    LASTING,
    LONGEST_DELAY,
    SECOND,
    Again,
    after_exit,
    at_daemon_start,
)
from boxship.spec.engine.container import RestartPolicy

NO, ALWAYS, UNLESS = "no", "always", "unless-stopped"


def decide(name: str, most: int = 0, **facts: object) -> Again | None:
    settings: dict[str, object] = {
        "exit_code": 1, "lasted": SECOND, "failures": 0, "restarts": 0, "stopped": False, **facts,
    }  # fmt: skip
    policy = RestartPolicy(name=name, maximum_retry_count=most) if name != "absent" else None
    return after_exit(policy, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "exit_code", "stopped", "again"),
    [
        ("absent", 1, False, False),
        ("", 1, False, False),
        (NO, 1, False, False),
        (ALWAYS, 0, False, True),
        (ALWAYS, 1, False, True),
        (ALWAYS, 1, True, False),
        (UNLESS, 0, False, True),
        (UNLESS, 137, False, True),
        (UNLESS, 137, True, False),
        ("on-failure", 0, False, False),
        ("on-failure", 1, False, True),
        ("on-failure", 1, True, False),
    ],
)
def test_policies(name: str, exit_code: int, stopped: bool, again: bool) -> None:
    assert (decide(name, exit_code=exit_code, stopped=stopped) is not None) is again


def test_on_failure_counts() -> None:
    assert [decide("on-failure", 3, restarts=n) is not None for n in range(5)] == [
        *(True, True, True),
        *(False, False),
    ]
    assert decide("on-failure", 0, restarts=10**6) is not None


def test_delays_double_up_to_a_minute_and_begin_anew_after_a_run_that_lasted() -> None:
    delays, failures = [], 0
    for _ in range(14):
        plan = decide(ALWAYS, failures=failures)
        assert plan is not None
        delays.append(plan.delay)
        failures = plan.failures
    assert delays[:5] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6])
    assert delays[-1] == LONGEST_DELAY
    assert delays == sorted(delays)
    assert decide(ALWAYS, failures=10**9) == Again(LONGEST_DELAY, 10**9 + 1)
    assert decide(ALWAYS, failures=9, lasted=LASTING) == Again(0.1, 1)
    assert decide(ALWAYS, failures=9, lasted=LASTING - 1) == Again(51.2, 10)


@pytest.mark.parametrize(
    ("name", "stopped", "ran", "exit_code", "starts"),
    [
        (NO, False, True, 1, False),
        ("absent", False, True, 1, False),
        (ALWAYS, True, True, 0, True),
        (ALWAYS, False, False, 0, False),
        (UNLESS, True, True, 1, False),
        (UNLESS, False, True, 0, True),
        (UNLESS, False, False, 0, False),
        ("on-failure", False, True, 0, False),
        ("on-failure", False, True, 1, True),
        ("on-failure", True, True, 1, False),
        ("on-failure", False, False, 1, False),
    ],
)
def test_with_the_daemon(name: str, stopped: bool, ran: bool, exit_code: int, starts: bool) -> None:
    policy = RestartPolicy(name=name) if name != "absent" else None
    decided = at_daemon_start(policy, manually_stopped=stopped, ran_before=ran, exit_code=exit_code)
    assert decided is starts
