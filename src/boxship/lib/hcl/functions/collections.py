"""Lists and maps."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from typing import Final

from boxship.lib.hcl import values
from boxship.lib.hcl.functions.define import STRING, WHOLE, anything, something, strings, takes
from boxship.lib.hcl.nodes import element
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import Value

LIST: Final = values.sequence
MAP: Final = values.mapping


def _length(value: Value) -> int:
    if isinstance(value, list | Mapping):
        return len(value)
    raise BadValue("argument must be a list, a map or a set")


def _coalesce(*given: Value) -> Value:
    for value in given:
        if value is not None:
            return value
    raise BadValue("no non-null arguments")


def _coalesce_list(*lists: list[Value]) -> list[Value]:
    for one in lists:
        if one:
            return one
    raise BadValue("no non-null arguments")


def _chunks(whole: list[Value], size: int) -> list[list[Value]]:
    if size < 0:
        raise BadValue("the size argument must be positive")
    if not whole:
        return []
    return [whole[at : at + size] for at in range(0, len(whole), size)] if size else [whole]


def _element(whole: list[Value], place: int) -> Value:
    if not whole:
        raise BadValue("cannot use element function with an empty list")
    return whole[place % len(whole)]


def _flatten(value: list[Value]) -> list[Value]:
    found: list[Value] = []
    for one in value:
        found.extend(_flatten(one) if isinstance(one, list) else [one])
    return found


def _has_index(held: Value, key: Value) -> bool:
    try:
        element(held, key)
    except BadValue:
        return False
    return True


def _place_of(whole: list[Value], wanted: Value) -> int:
    if not whole:
        raise BadValue("cannot search an empty list")
    for place, one in enumerate(whole):
        if values.same(one, wanted):
            return place
    raise BadValue("item not found")


def _lookup(held: Mapping[str, Value], key: str, default: Value) -> Value:
    return held.get(key, default)


def _merge(*maps: Mapping[str, Value] | None) -> Value:
    found: dict[str, Value] = {}
    for one in maps:
        found.update(values.mapping(one) if one is not None else {})
    return found


def _slice(whole: list[Value], start: int, end: int) -> list[Value]:
    if not 0 <= start <= end <= len(whole):
        raise BadValue("start and end must be within the list, in that order")
    return whole[start:end]


def _zip(keys: list[str], given: list[Value]) -> Value:
    if len(keys) != len(given):
        raise BadValue(f"number of keys ({len(keys)}) does not match number of values")
    return dict(zip(keys, given, strict=True))


def _contains(whole: list[Value], wanted: Value) -> bool:
    return any(values.same(one, wanted) for one in whole)


def _distinct(whole: list[Value]) -> list[Value]:
    found: list[Value] = []
    for one in whole:
        if not _contains(found, one):
            found.append(one)
    return found


def _csv(said: str) -> list[Value]:
    try:
        titles, *rows = list(csv.reader(said.splitlines(), strict=True))
        return [dict(zip(titles, row, strict=True)) for row in rows if row]
    except csv.Error as error:
        raise BadValue(str(error)) from None
    except ValueError:
        raise BadValue("wrong number of fields") from None


def _concat(*lists: list[Value]) -> list[Value]:
    return [one for each in lists for one in each]


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "chunklist": takes(LIST, WHOLE)(_chunks),
    "coalesce": takes(rest=anything, least=1)(_coalesce),
    "coalescelist": takes(rest=LIST, least=1)(_coalesce_list),
    "compact": takes(LIST)(lambda whole: [one for one in whole if one not in ("", None)]),
    "concat": takes(rest=LIST, least=1)(_concat),
    "contains": takes(LIST, anything)(_contains),
    "csvdecode": takes(STRING)(_csv),
    "distinct": takes(LIST)(_distinct),
    "element": takes(LIST, WHOLE)(_element),
    "flatten": takes(LIST)(_flatten),
    "hasindex": takes(something, something)(_has_index),
    "index": takes(something, something)(element),
    "indexof": takes(LIST, anything)(_place_of),
    "keys": takes(MAP)(sorted),
    "length": takes(something)(_length),
    "lookup": takes(MAP, STRING, anything)(_lookup),
    "merge": takes(rest=anything)(_merge),
    "reverselist": takes(LIST)(lambda whole: whole[::-1]),
    "slice": takes(LIST, WHOLE, WHOLE)(_slice),
    "values": takes(MAP)(lambda held: [held[key] for key in sorted(held)]),
    "zipmap": takes(strings, LIST)(_zip),
}
