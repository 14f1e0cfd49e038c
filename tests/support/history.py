"""Whether what many clients did to one object, and were told, can have happened one after another.

Linearizability, as Wing and Gong check it: some order that keeps to real time (what ended before
another began comes first) in which the model gives each the answer that it got. States and sets of
operations that led nowhere are remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

S = TypeVar("S")
AROUND = 12


@dataclass(frozen=True, slots=True)
class Operation:
    """What was asked, what was answered, and when."""

    begun: float
    ended: float
    what: str
    answer: str


def unexplained(
    history: Sequence[Operation], start: S, step: Callable[[S, Operation], S | None]
) -> list[Operation]:
    """Return the operations around the one that no order explains; none if all can be explained.

    `step` returns the state after an operation with its answer, or None if that cannot be.
    """
    operations = sorted(history, key=lambda one: one.begun)
    furthest = 0
    tried: set[tuple[int, frozenset[int], S]] = set()
    # All before `low` are done; so are those of `done`, which are above it.
    paths: list[tuple[int, frozenset[int], S]] = [(0, frozenset(), start)]
    while paths:
        path = paths.pop()
        if path in tried:
            continue
        tried.add(path)
        low, done, state = path
        furthest = max(furthest, low)
        if low == len(operations):
            return []
        soonest = float("inf")
        for number in range(low, len(operations)):
            one = operations[number]
            if one.begun > soonest:
                break
            if number in done:
                continue
            soonest = min(soonest, one.ended)
            after = step(state, one)
            if after is not None:
                paths.append(_advanced(low, done | {number}, after))
    return operations[max(0, furthest - AROUND) : furthest + AROUND]


def _advanced(low: int, done: frozenset[int], state: S) -> tuple[int, frozenset[int], S]:
    while low in done:
        done -= {low}
        low += 1
    return low, done, state
