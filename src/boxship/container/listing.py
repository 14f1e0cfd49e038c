"""Which containers a list shows: filters, order and limit, worked out from records alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from boxship.container.checks import PORT
from boxship.container.lifecycle import State
from boxship.container.record import Container
from boxship.errors import InvalidRequest
from boxship.lib import re2
from boxship.model.filters import has_labels

Filters = Mapping[str, Sequence[str]]
KNOWN: Final = frozenset(
    {
        "ancestor",
        "before",
        "exited",
        "expose",
        "health",
        "id",
        "isolation",
        "is-task",
        "label",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    }
)
HEALTHS: Final = frozenset({"none", "starting", "healthy", "unhealthy"})
TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(frozen=True, slots=True)
class Asked:
    """What shall be listed."""

    filters: Filters = field(default_factory=dict)
    everything: bool = False
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Lookups:
    """What a filter's words mean beyond the records."""

    container: Callable[[str], Container]
    ancestors: Callable[[str], frozenset[str]]  # image IDs that a word stands for, children too
    network: Callable[[str], str]  # a network's name, for its ID or name


def select(records: Iterable[Container], asked: Asked, look: Lookups) -> list[Container]:
    """Return the containers that pass, the newest first."""
    checks = list(_checks(asked.filters, look))
    everything = asked.everything or asked.limit > 0 or bool(asked.filters.get("status"))
    found = [
        record
        for record in records
        if (everything or record.state.has_process or record.state is State.RESTARTING)
        and all(check(record) for check in checks)
    ]
    found.sort(key=lambda record: (record.created, record.id), reverse=True)
    return found[: asked.limit] if asked.limit > 0 else found


def _checks(filters: Filters, look: Lookups) -> Iterable[Callable[[Container], bool]]:
    for name, values in filters.items():
        if not values:
            continue
        match name:
            case "label":
                yield lambda record, v=values: has_labels(record.config.labels or {}, v)  # type: ignore[misc]
            case "before":
                limit = min(look.container(value).created for value in values)
                yield lambda record, t=limit: record.created < t  # type: ignore[misc]
            case "since":
                limit = max(look.container(value).created for value in values)
                yield lambda record, t=limit: record.created > t  # type: ignore[misc]
            case _:
                yield _alternatives(name, values, look)


def _alternatives(name: str, values: Sequence[str], look: Lookups) -> Callable[[Container], bool]:
    match name:
        case "id":
            return lambda record: any(matches(value, record.id, prefix=True) for value in values)
        case "name":
            return lambda record: any(
                matches(value, record.name) or matches(value, f"/{record.name}") for value in values
            )
        case "status":
            for value in values:
                if value not in State._value2member_map_:
                    raise _bad(name, values)
            return lambda record: record.state.value in values
        case "exited":
            codes = {_integer(name, value) for value in values}
            return lambda record: record.state is State.EXITED and record.run.exit_code in codes
        case "health":
            if not HEALTHS.issuperset(values):
                raise _bad(name, values)
            return lambda record: (record.health.status if record.health else "none") in values
        case "ancestor":
            images = frozenset[str]().union(*(look.ancestors(value) for value in values))
            return lambda record: record.image in images or record.config.image in values
        case "volume":
            return lambda record: any(
                value in (point.name or point.source, point.destination)
                for point in record.mounts
                for value in values
            )
        case "network":
            wanted = {look.network(value) for value in values} | set(values)
            return lambda record: not wanted.isdisjoint(record.endpoints)
        case "publish":
            ports = frozenset[str]().union(*(port_set(name, value) for value in values))
            return lambda record: not ports.isdisjoint(_published(record))
        case "expose":
            ports = frozenset[str]().union(*(port_set(name, value) for value in values))
            return lambda record: not ports.isdisjoint(_exposed(record))
        case "is-task":
            wanted_tasks = {_truth(name, value) for value in values}
            if len(wanted_tasks) > 1:
                raise _bad(name, values)
            task = wanted_tasks.pop()
            label = "com.docker.swarm.task.id"
            return lambda record: (label in (record.config.labels or {})) == task
        case _:  # isolation, which only Windows knows
            return lambda record: (record.host_config.isolation or "default") in values


def matches(pattern: str, text: str, *, prefix: bool = False) -> bool:
    """Whether a text is, begins with, or holds what a pattern says."""
    if pattern == text or (prefix and text.startswith(pattern)):
        return True
    try:
        return re2.compile(pattern).search(text)
    except re2.InvalidExpression:
        return False


def port_set(name: str, value: str) -> frozenset[str]:
    """Read `PORT[-PORT][/PROTOCOL]` as single ports."""
    found = PORT.fullmatch(value)
    if not found:
        raise InvalidRequest(f"invalid filter '{name}=[{value}]'")
    low, high = int(found[1]), int(found[2] or found[1])
    if not low <= high < 65536:
        raise InvalidRequest(f"invalid filter '{name}=[{value}]'")
    protocol = (found[3] or "tcp").lower()
    return frozenset(f"{port}/{protocol}" for port in range(low, high + 1))


def _published(record: Container) -> Iterable[str]:
    bindings = record.network.ports or record.host_config.port_bindings or {}
    for port, hosts in bindings.items():
        protocol = port.partition("/")[2] or "tcp"
        for host in hosts or ():
            yield f"{host.host_port or '0'}/{protocol}"


def _exposed(record: Container) -> Iterable[str]:
    for port in (*(record.config.exposed_ports or ()), *(record.host_config.port_bindings or ())):
        yield port if "/" in port else f"{port}/tcp"


def _integer(name: str, value: str) -> int:
    if not re.fullmatch(r"-?\d{1,9}", value, re.ASCII):
        raise InvalidRequest(f"invalid filter '{name}=[{value}]'")
    return int(value)


def _truth(name: str, value: str) -> bool:
    if value in TRUE:
        return True
    if value in FALSE:
        return False
    raise InvalidRequest(f"invalid filter '{name}=[{value}]'")


def _bad(name: str, values: Sequence[str]) -> InvalidRequest:
    return InvalidRequest(f"invalid filter '{name}=[{' '.join(values)}]'")
