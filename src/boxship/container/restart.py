"""Restart policies: whether a container that has ended starts again, and after how long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from boxship.spec.engine.container import RestartPolicy

SECOND: Final = 1_000_000_000
FIRST_DELAY: Final = 0.1  # seconds, doubled with each run that did not last
LONGEST_DELAY: Final = 60.0
LASTING: Final = 10 * SECOND  # a run this long starts the count anew


@dataclass(frozen=True, slots=True)
class Again:
    """Start again after `delay` seconds; `failures` runs in a row have not lasted."""

    delay: float
    failures: int


def after_exit(
    policy: RestartPolicy | None,
    *,
    exit_code: int,
    lasted: int,
    failures: int,
    restarts: int,
    stopped: bool,
) -> Again | None:
    """Decide after a run of `lasted` ns; `stopped` when somebody asked for the end."""
    name = (policy.name if policy else None) or "no"
    if stopped or name == "no":
        return None
    if name == "on-failure":
        most = (policy.maximum_retry_count if policy else None) or 0
        if exit_code == 0 or (most and restarts >= most):
            return None
    failures = 1 if lasted >= LASTING else failures + 1
    return Again(min(FIRST_DELAY * 2 ** (min(failures, 16) - 1), LONGEST_DELAY), failures)


def at_daemon_start(
    policy: RestartPolicy | None, *, manually_stopped: bool, ran_before: bool, exit_code: int
) -> bool:
    """Whether a container that does not run is started with the daemon."""
    name = (policy.name if policy else None) or "no"
    if not ran_before:
        return False
    if name == "always":
        return True
    if name == "unless-stopped":
        return not manually_stopped
    return name == "on-failure" and exit_code != 0 and not manually_stopped
