"""Comparison, logic, JSON, and functions that are given expressions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from boxship.lib.hcl import values
from boxship.lib.hcl.functions.define import BOOL, NUMBER, STRING, anything, takes
from boxship.lib.hcl.nodes import Node, Scope
from boxship.lib.hcl.source import BadDefinition, BadValue
from boxship.lib.hcl.types import type_of
from boxship.lib.hcl.values import Value


def json_encode(value: Value) -> str:
    found = json.dumps(values.plain(value), ensure_ascii=False, separators=(",", ":"))
    return found.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def json_decode(said: str) -> Value:
    try:
        return values.from_json(json.loads(said))
    except (ValueError, RecursionError) as error:
        raise BadValue(str(error)) from None


def first_that_works(scope: Scope, *nodes: Node) -> Value:
    """Return the value of the first expression that has one."""
    problem = "at least one argument is required"
    for node in nodes:
        try:
            return node.evaluate(scope)
        except BadDefinition as error:
            problem = error.detail
    raise BadValue(f"no expression succeeded: {problem}")


def works(scope: Scope, *nodes: Node) -> bool:
    if len(nodes) != 1:
        raise BadValue("exactly one argument is required")
    try:
        nodes[0].evaluate(scope)
    except BadDefinition:
        return False
    return True


def convert(scope: Scope, *nodes: Node) -> Value:
    """Convert a value to a type."""
    if len(nodes) != 2:
        raise BadValue("a value and a type are required")
    return type_of(nodes[1], scope).convert(nodes[0].evaluate(scope))


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "and": takes(BOOL, BOOL)(lambda one, other: one and other),
    "or": takes(BOOL, BOOL)(lambda one, other: one or other),
    "not": takes(BOOL)(lambda value: not value),
    "equal": takes(anything, anything)(values.same),
    "notequal": takes(anything, anything)(lambda one, other: not values.same(one, other)),
    "greaterthan": takes(NUMBER, NUMBER)(lambda one, other: one > other),
    "greaterthanorequalto": takes(NUMBER, NUMBER)(lambda one, other: one >= other),
    "lessthan": takes(NUMBER, NUMBER)(lambda one, other: one < other),
    "lessthanorequalto": takes(NUMBER, NUMBER)(lambda one, other: one <= other),
    "jsonencode": takes(anything)(json_encode),
    "jsondecode": takes(STRING)(json_decode),
    "try": first_that_works,
    "can": works,
    "convert": convert,
}
