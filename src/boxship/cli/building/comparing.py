"""Two builds side by side: which of their steps took longer, and which were cached."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from boxship.cli.building.remembered import Records
from boxship.cli.building.tracking import Step, Steps, seconds
from boxship.lib.words import visible
from boxship.spec.buildkit import control_pb2 as pb

SHORT = 60


@dataclass(frozen=True, slots=True)
class Pair:
    """A step of either build or of both: those of one name, in order."""

    name: str
    first: Step | None
    second: Step | None

    @property
    def change(self) -> float | None:
        """How many seconds longer the second took; None where there is only one."""
        if self.first is None or self.second is None:
            return None
        return self.second.elapsed(0.0) - self.first.elapsed(0.0)


def steps_of(records: Records, one: pb.HistoryRecord) -> Steps:
    """Return what was told of a build's steps, and their output."""
    steps = Steps()

    def take(told: pb.StatusResponse) -> None:
        steps.take(told)
        for log in told.logs:
            steps.of(log.vertex).hear(log.msg, seconds(log.timestamp))

    records.status(one, take)
    for step in steps.steps.values():
        step.close()
    return steps


def pairs(first: Steps, second: Steps) -> list[Pair]:
    """Return the steps of both, those of the first in their order, and then what is new."""
    left: dict[str, list[Step]] = {}
    for step in second.steps.values():
        left.setdefault(step.name, []).append(step)
    found = []
    for step in first.steps.values():
        same = left.get(step.name)
        found.append(Pair(step.name, step, same.pop(0) if same else None))
    return found + [Pair(step.name, None, step) for rest in left.values() for step in rest]


def took(step: Step | None) -> str:
    """Return how long a step was at work, or why it was not."""
    if step is None:
        return "-"
    if step.error:
        return "CANCELED" if step.canceled else f"ERROR {step.elapsed(0.0):.1f}s"
    return "CACHED" if step.cached else f"{step.elapsed(0.0):.1f}s" if step.completed else "-"


def changed(pair: Pair) -> str:
    """Return how much longer the second took."""
    return "" if pair.change is None else f"{pair.change:+.1f}s"


def lines(names: Sequence[str], found: Sequence[Pair]) -> Iterator[str]:
    """Yield the table of what two builds did."""
    rows = [("STEP", names[0][:12], names[1][:12], "CHANGE")]
    for pair in found:
        name = visible(pair.name)
        name = name if len(name) <= SHORT else name[: SHORT - 1] + "…"
        rows.append((name, took(pair.first), took(pair.second), changed(pair)))
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    for name, *values in rows:
        right = "  ".join(f"{v:>{w}}" for v, w in zip(values, widths[1:], strict=True))
        yield f"{name:<{widths[0]}}  {right}"
