"""Operators: what they do, and how tightly they bind."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from boxship.lib.hcl import values
from boxship.lib.hcl.nodes import Node, Scope
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import EXACT, Value, number, reduced, truth

Number = int | Decimal


def _exact(work: Callable[[Decimal, Decimal], Decimal]) -> Callable[[Value, Value], Number]:
    def done(one: Value, other: Value) -> Number:
        left, right = EXACT.create_decimal(number(one)), EXACT.create_decimal(number(other))
        try:
            return reduced(work(left, right))
        except decimal.DivisionByZero:
            raise BadValue("divide by zero") from None
        except decimal.DecimalException:
            raise BadValue("the result is no number") from None

    return done


def _remainder(one: Decimal, other: Decimal) -> Decimal:
    if not other:
        raise decimal.DivisionByZero
    return EXACT.remainder(one, other)


add: Final = _exact(EXACT.add)
subtract: Final = _exact(EXACT.subtract)
multiply: Final = _exact(EXACT.multiply)
divide: Final = _exact(EXACT.divide)
modulo: Final = _exact(_remainder)

# From the loosest to the tightest.
LEVELS: Final[tuple[Mapping[str, Callable[[Value, Value], Value]], ...]] = (
    {"||": lambda one, other: truth(one) | truth(other)},
    {"&&": lambda one, other: truth(one) & truth(other)},
    {"==": values.same, "!=": lambda one, other: not values.same(one, other)},
    {
        ">=": lambda one, other: number(one) >= number(other),
        "<=": lambda one, other: number(one) <= number(other),
        ">": lambda one, other: number(one) > number(other),
        "<": lambda one, other: number(one) < number(other),
    },
    {"+": add, "-": subtract},
    {"*": multiply, "/": divide, "%": modulo},
)


@dataclass(frozen=True, slots=True)
class Binary(Node):
    sign: str
    work: Callable[[Value, Value], Value]
    left: Node
    right: Node

    def evaluate(self, scope: Scope) -> Value:
        left = self.left.evaluate(scope)
        right = self.right.evaluate(scope)
        try:
            return self.work(left, right)
        except BadValue as error:
            if str(error) == "divide by zero":
                raise self.wrong("Division by zero", "This divides by zero.") from None
            raise self.wrong("Invalid operand", f"Unsuitable value for operand: {error}.") from None


@dataclass(frozen=True, slots=True)
class Unary(Node):
    sign: str
    of: Node

    def evaluate(self, scope: Scope) -> Value:
        if self.sign == "!":
            return not self.of.as_(truth, scope, "Invalid operand")
        return -self.of.as_(number, scope, "Invalid operand")
