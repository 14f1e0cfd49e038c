"""Which events somebody wants to hear of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from boxship.model.filters import has_label
from boxship.spec.engine.system import EventMessage

# Filters that name an object: its ID or its name begins with the value.
OBJECTS: Final = (
    *("container", "network", "volume", "plugin", "daemon"),
    *("node", "service", "secret", "config"),
)
KEYS: Final = frozenset({*OBJECTS, "event", "image", "label", "scope", "type"})

Wanted = Mapping[str, Sequence[str]]


def matches(event: EventMessage, wanted: Wanted) -> bool:
    """Tell whether an event passes all filters; the values of one filter are alternatives."""
    actor = event.actor
    assert actor is not None
    attributes = actor.attributes or {}
    for key, values in wanted.items():
        match key:
            case "type":
                passes = event.type in values
            case "scope":
                passes = event.scope in values
            case "event":
                passes = _is_action(event.action or "", values)
            case "label":
                passes = all(has_label(attributes, label) for label in values)
            case "image":
                passes = not _image_names(event, attributes).isdisjoint(values)
            case _:
                names = (actor.id or "", attributes.get("name", ""))
                passes = any(name.startswith(value) for name in names for value in values)
        if not passes:
            return False
    return True


def _is_action(action: str, values: Collection[str]) -> bool:
    return action in values or action.partition(":")[0] in values


def _image_names(event: EventMessage, attributes: Mapping[str, str]) -> set[str]:
    assert event.actor is not None
    name = attributes.get("name" if event.type == "image" else "image", "")
    names = {event.actor.id or "", name}
    return {*names, *map(_without_tag, names)} - {""}


def _without_tag(name: str) -> str:
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag else name
