"""What a client may ask a list to be narrowed to, as far as it is the same for all nouns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from boxship.errors import InvalidRequest
from boxship.lib import re2


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """Tell whether a `key` or `key=value` is among the labels."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def has_labels(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """Tell whether every `key` or `key=value` is among the labels."""
    return all(has_label(labels, one) for one in wanted)


def truth(name: str, values: Sequence[str]) -> bool | None:
    """Return what a filter that is true or false says; None where it is not given."""
    match values:
        case []:
            return None
        case ["1" | "true" | "True"]:
            return True
        case ["0" | "false" | "False"]:
            return False
        case _:
            raise InvalidRequest(f"invalid filter '{name}=[{' '.join(values)}]'")


def matches_name(pattern: str, name: str) -> bool:
    """Tell whether a name holds what a regular expression says; what is none is text."""
    try:
        return re2.compile(pattern).search(name)
    except re2.InvalidExpression:
        return pattern in name
