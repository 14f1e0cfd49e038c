"""Sets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Final

from boxship.lib.hcl import values
from boxship.lib.hcl.functions.define import anything, takes
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import Set, Value

MOST: Final = 100_000


def a_set(value: Value) -> Set:
    return Set(values.sequence(value))


def _holds(whole: Set, wanted: Value) -> bool:
    return any(values.same(one, wanted) for one in whole)


def _intersection(first: Set, *others: Set) -> Set:
    return Set([one for one in first if all(_holds(other, one) for other in others)])


def _subtract(one: Set, other: Set) -> Set:
    return Set([value for value in one if not _holds(other, value)])


def _difference(*given: Set) -> Set:
    found = Set([])
    for one in given:
        found = Set([*_subtract(found, one), *_subtract(one, found)])
    return found


def _product(*given: list[Value]) -> Value:
    number = 1
    for one in given:
        number *= len(one)
    if number > MOST:
        raise BadValue("the product is too large")
    found = [list(one) for one in itertools.product(*given)]
    return Set(found) if all(isinstance(one, Set) for one in given) else found


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "sethaselement": takes(a_set, anything)(_holds),
    "setintersection": takes(a_set, rest=a_set)(_intersection),
    "setproduct": takes(rest=values.sequence, least=1)(_product),
    "setsubtract": takes(a_set, a_set)(_subtract),
    "setsymmetricdifference": takes(a_set, rest=a_set)(_difference),
    "setunion": takes(rest=a_set, least=1)(
        lambda *given: Set([one for each in given for one in each])
    ),
}
