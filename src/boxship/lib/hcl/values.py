"""Values of expressions: null, truth values, numbers, strings, sequences and maps.

Numbers are exact up to 154 digits, as HCL's are: whole ones are `int`, others `Decimal`. What goes
over a map goes in the order of its keys.
"""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from boxship.lib.hcl.source import BadValue

Value = Any  # None | bool | int | Decimal | str | list[Value] | Mapping[str, Value]
DIGITS: Final = 154
LARGEST: Final = 9999  # digits before the point
EXACT: Final = decimal.Context(
    prec=DIGITS,
    Emax=LARGEST,
    Emin=-LARGEST,
    traps=[decimal.Overflow, decimal.InvalidOperation, decimal.DivisionByZero],
)


class Set(list[Any]):
    """Distinct values, in order."""

    def __init__(self, values: Iterator[Value] | list[Value] = ()) -> None:  # type: ignore[assignment]
        distinct: list[Value] = []
        for value in values:
            if not any(same(value, known) for known in distinct):
                distinct.append(value)
        super().__init__(sorted(distinct, key=order))


def order(value: Value) -> tuple[str, Any]:
    """Return what puts values into an order: by kind, then by value."""
    kind = kind_of(value)
    return (kind, value) if kind in ("bool", "number", "string") else (kind, repr(value))


def kind_of(value: Value) -> str:
    """Return what a message calls a value's type."""
    match value:
        case None:
            return "dynamic"
        case bool():
            return "bool"
        case int() | Decimal():
            return "number"
        case str():
            return "string"
        case Set():
            return "set"
        case list():
            return "tuple"
    return "object"


def is_number(value: Value) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def reduced(value: Decimal | int) -> int | Decimal:
    """Return a number as `int` where it is whole and of reasonable length."""
    if isinstance(value, int):
        return value if abs(value) < 10**DIGITS else EXACT.create_decimal(value)
    if value == value.to_integral_value() and value.adjusted() < DIGITS:
        return int(value)
    return value


def parse_number(said: str) -> int | Decimal:
    """Read a number; BadValue where it is none."""
    plain = said.strip()
    if plain != said or not said or "_" in said or not said.isascii() or len(said) > 2 * LARGEST:
        raise BadValue("a number is required")
    try:
        value = EXACT.create_decimal(said)
    except decimal.DecimalException:
        raise BadValue("a number is required") from None
    if not value.is_finite():
        raise BadValue("a number is required")
    return reduced(value)


def text(value: Value) -> str:
    """Convert to a string; BadValue where there is no such conversion."""
    match value:
        case None:
            raise BadValue("must not be null")
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int():
            return str(value)
        case Decimal():
            shown = format(value, "f")
            return shown.rstrip("0").rstrip(".") if "." in shown else shown
    raise BadValue("string required")


def number(value: Value) -> int | Decimal:
    """Convert to a number."""
    match value:
        case None:
            raise BadValue("must not be null")
        case bool():
            raise BadValue("number required")
        case int() | Decimal():
            return value
        case str():
            return parse_number(value)
    raise BadValue("number required")


def whole(value: Value) -> int:
    """Convert to a whole number."""
    found = number(value)
    if not isinstance(found, int):
        raise BadValue("a whole number is required")
    return found


def truth(value: Value) -> bool:
    """Convert to a truth value."""
    match value:
        case None:
            raise BadValue("must not be null")
        case bool():
            return value
        case "true" | "1":
            return True
        case "false" | "0":
            return False
    raise BadValue("bool required")


def same(one: Value, other: Value) -> bool:
    """Tell whether values are equal; those of different types are not."""
    if is_number(one) and is_number(other):
        return bool(one == other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return type(one) is type(other) and bool(one == other)


def elements(value: Value) -> Iterator[tuple[Value, Value]]:
    """Go over a collection: keys and values, or positions and values."""
    if isinstance(value, Mapping):
        yield from ((key, value[key]) for key in sorted(value))
    elif isinstance(value, Set):
        yield from ((one, one) for one in value)
    elif isinstance(value, list):
        yield from enumerate(value)
    else:
        raise BadValue(f"A value of type {kind_of(value)} is not iterable.")


def sequence(value: Value) -> list[Value]:
    """Return a sequence, or BadValue for anything else."""
    if not isinstance(value, list):
        raise BadValue("a list is required" if value is not None else "must not be null")
    return value


def mapping(value: Value) -> Mapping[str, Value]:
    """Return a map, or BadValue for anything else."""
    if not isinstance(value, Mapping):
        raise BadValue("a map is required" if value is not None else "must not be null")
    return value


def plain(value: Value) -> Value:
    """Return a value as JSON has it."""
    if isinstance(value, Mapping):
        return {key: plain(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, Decimal):
        return float(value)
    return value


def from_json(value: Any) -> Value:
    """Return what JSON says as a value."""
    if isinstance(value, dict):
        return {key: from_json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [from_json(one) for one in value]
    if isinstance(value, float):
        return parse_number(repr(value))
    return value
