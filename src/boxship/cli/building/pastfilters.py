"""Which records of builds are listed: conditions that builders know, and those about times.

All that are given must hold. `repository=x` and `ref=x` mean that x is part of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from boxship.errors import InvalidRequest
from boxship.lib import duration, moments
from boxship.spec.buildkit import control_pb2 as pb

CONDITION: Final = re.compile(r"(\w+)(==|!=|~=|<=|>=|=|<|>)(.*)", re.DOTALL)
NAMES: Final = ("ref", "repository", "status")
TIMES: Final = ("startedAt", "completedAt", "duration")
ORDERS: Final[dict[str, Callable[[int, int], bool]]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
Admits = Callable[[pb.HistoryRecord], bool]


def read(given: Sequence[str], now: int) -> tuple[list[str], Admits]:
    """Return what the builder is asked for, and what is chosen of its answer."""
    asked: list[str] = []
    chosen: list[Admits] = []
    for text in given:
        found = CONDITION.fullmatch(text)
        if found is None:
            raise InvalidRequest(f'invalid filter "{text}"')
        key, operator, value = found.groups()
        if key in NAMES and operator in ("=", "==", "!=", "~="):
            asked.append(_asked(key, operator, value))
        elif key in NAMES:
            raise InvalidRequest(f'invalid separator for "{text}", expected = or !=')
        elif key in TIMES and operator in ORDERS:
            chosen.append(_timed(key, operator, value, now))
        elif key in TIMES:
            raise InvalidRequest(f'invalid separator for "{text}", expected <=, <, >= or >')
        else:
            raise InvalidRequest(f'unsupported filter "{text}"')
    # One filter of several conditions: several filters would mean that one of them suffices.
    return [",".join(asked)] if asked else [], lambda record: all(one(record) for one in chosen)


def _asked(key: str, operator: str, value: str) -> str:
    if "," in value or '"' in value:
        raise InvalidRequest(f'invalid value of a filter: "{value}"')
    if operator == "=" and key != "status":
        return f"{key}~={re.escape(value)}"
    return f"{key}{'==' if operator == '=' else operator}{value}"


def _timed(key: str, operator: str, value: str, now: int) -> Admits:
    """A time may be how long ago something was."""
    limit: int | None
    try:
        limit = duration.parse(value)
        limit = limit if key == "duration" else now - limit
    except ValueError:
        try:
            limit = moments.parse(value) if key != "duration" else None
        except ValueError:
            limit = None
    if limit is None:
        raise InvalidRequest(f"invalid {'duration' if key == 'duration' else 'time'} {value}")
    order, bound = ORDERS[operator], limit

    def admits(record: pb.HistoryRecord) -> bool:
        began, ended = record.created_at.ToNanoseconds(), record.completed_at.ToNanoseconds()
        if key == "startedAt":
            return order(began, bound)
        if not record.HasField("completed_at"):
            return False
        return order(ended if key == "completedAt" else ended - began, bound)

    return admits
