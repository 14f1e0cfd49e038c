"""Arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from boxship.lib.hcl import operators, values
from boxship.lib.hcl.functions.define import NUMBER, STRING, WHOLE, takes
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import Value

Number = int | Decimal
MOST: Final = 1024  # elements of a range


def _float(value: float) -> Number:
    if math.isnan(value) or math.isinf(value):
        raise BadValue("the result is no number")
    return values.parse_number(repr(value))


def _logarithm(of: Number, base: Number) -> Number:
    try:
        return _float(math.log(of) / math.log(base))
    except (ValueError, ZeroDivisionError, OverflowError):
        raise BadValue("the result is no number") from None


def _power(base: Number, exponent: Number) -> Number:
    try:
        return _float(math.pow(base, exponent))
    except (ValueError, OverflowError):
        raise BadValue("the result is no number") from None


def _parse_int(said: str, base: int) -> int:
    if not 2 <= base <= 62:
        raise BadValue("base must be a whole number between 2 and 62 inclusive")
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    known = digits if base <= 36 else digits + digits[10:].upper()
    plain = said.removeprefix("-") if said.startswith("-") else said.removeprefix("+")
    plain = plain.lower() if base <= 36 else plain
    places = [known.find(char) for char in plain]
    if not places or min(places) < 0 or max(places) >= base or len(places) > values.LARGEST:
        raise BadValue(f'cannot parse "{said}" as a base {base} integer')
    found = 0
    for place in places:
        found = found * base + place
    return -found if said.startswith("-") else found


def _range(*given: Number) -> list[Number]:
    match given:
        case (end,):
            start, step = 0, 1 if end > 0 else -1
        case (start, end):
            step = 1 if start <= end else -1
        case (start, end, step):
            pass
        case _:
            raise BadValue("must have one, two, or three arguments")
    if not step or ((step > 0) != (end > start) and end != start):
        raise BadValue("the step leads away from the end")
    found: list[Number] = []
    here: Number = start
    while here < end if step > 0 else here > end:
        if len(found) >= MOST:
            raise BadValue(f"more than {MOST} values were generated")
        found.append(here)
        here = operators.add(here, step)
    return found


def _floor(value: Number) -> int:
    return math.floor(value)


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "absolute": takes(NUMBER)(abs),
    "add": takes(NUMBER, NUMBER)(operators.add),
    "ceil": takes(NUMBER)(math.ceil),
    "divide": takes(NUMBER, NUMBER)(operators.divide),
    "floor": takes(NUMBER)(_floor),
    "int": takes(NUMBER)(math.trunc),
    "log": takes(NUMBER, NUMBER)(_logarithm),
    "max": takes(rest=NUMBER, least=1)(lambda *given: max(given)),
    "min": takes(rest=NUMBER, least=1)(lambda *given: min(given)),
    "modulo": takes(NUMBER, NUMBER)(operators.modulo),
    "multiply": takes(NUMBER, NUMBER)(operators.multiply),
    "negate": takes(NUMBER)(lambda value: -value),
    "parseint": takes(STRING, WHOLE)(_parse_int),
    "pow": takes(NUMBER, NUMBER)(_power),
    "range": takes(rest=NUMBER)(_range),
    "signum": takes(NUMBER)(lambda value: (value > 0) - (value < 0)),
    "subtract": takes(NUMBER, NUMBER)(operators.subtract),
}
