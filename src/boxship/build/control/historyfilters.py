"""Which builds of the past are asked for: `status==error`, `ref~=^a`, `repository!=x`.

Conditions with commas between them must all hold; of several filters one must.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from boxship.errors import InvalidRequest
from boxship.lib import re2
from boxship.spec.buildkit import control_pb2 as pb

CONDITION: Final = re.compile(r"(\w+)\s*(==|!=|~=|$)(.*)")
FIELDS: Final = frozenset({"ref", "status", "repository"})
CANCELLED: Final = "context canceled"


@dataclass(frozen=True, slots=True)
class Condition:
    """What one field must be like; without an operator it must be there."""

    field: str
    operator: str
    value: str

    def holds(self, record: pb.HistoryRecord) -> bool:
        said = value_of(record, self.field)
        match self.operator:
            case "==":
                return said == self.value
            case "!=":
                return said != self.value
            case "~=":
                return re2.compile(self.value).search(said)
            case _:
                return bool(said)


Filter = tuple[Condition, ...]


def read(given: Iterable[str]) -> tuple[Filter, ...]:
    """Read filters; InvalidRequest where one makes no sense."""
    return tuple(tuple(_condition(one) for one in text.split(",")) for text in given if text)


def admits(filters: tuple[Filter, ...], record: pb.HistoryRecord) -> bool:
    """Whether a record is asked for."""
    return not filters or any(all(one.holds(record) for one in some) for some in filters)


def value_of(record: pb.HistoryRecord, field: str) -> str:
    """Return what a filter compares."""
    if field == "ref":
        return record.ref
    if field == "status":
        return status_of(record)
    attrs = record.frontend_attrs
    return attrs.get("vcs:source", "") or attrs.get("context", "")


def status_of(record: pb.HistoryRecord) -> str:
    """Return what became of a build, in a word."""
    if not record.HasField("completed_at"):
        return "running"
    if not record.HasField("error"):
        return "completed"
    return "canceled" if CANCELLED in record.error.message else "error"


def _condition(text: str) -> Condition:
    found = CONDITION.fullmatch(text.strip())
    if found is None or found[1] not in FIELDS or (found[3] and not found[2]):
        raise InvalidRequest(f"invalid filter of builds: {text[:200]!r}")
    value = found[3].strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if found[2] == "~=":
        try:
            re2.compile(value)
        except re2.InvalidExpression as error:
            raise InvalidRequest(f"invalid filter of builds: {text[:200]!r}: {error}") from None
    return Condition(found[1], found[2], value)
