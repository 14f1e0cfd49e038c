"""What a function takes: each argument is converted, or refused with its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from boxship.lib.hcl import values
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import Value

Convert = Callable[[Value], Any]
Function = Callable[..., Value]

STRING: Final = values.text
NUMBER: Final = values.number
WHOLE: Final = values.whole
BOOL: Final = values.truth


def anything(value: Value) -> Value:
    return value


def something(value: Value) -> Value:
    """Take any value but null."""
    if value is None:
        raise BadValue("argument must not be null")
    return value


def strings(value: Value) -> list[str]:
    """Take a list of strings."""
    return [values.text(one) for one in values.sequence(value)]


def takes(*kinds: Convert, rest: Convert | None = None, least: int = 0) -> Callable[..., Function]:
    """Return what makes a function of one whose arguments have been converted."""

    def define(work: Function) -> Function:
        def call(*given: Value) -> Value:
            if len(given) < len(kinds) + least or (rest is None and len(given) > len(kinds)):
                problem = "not enough" if len(given) < len(kinds) + least else "too many"
                raise BadValue(f"{problem} function arguments, {len(kinds)} expected")
            converted: list[Any] = []
            for number, value in enumerate(given):
                convert = kinds[number] if number < len(kinds) else rest
                assert convert is not None
                try:
                    converted.append(convert(value))
                except BadValue as error:
                    raise BadValue(f"argument {number + 1}: {error}") from None
            return work(*converted)

        return call

    return define
