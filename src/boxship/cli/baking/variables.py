"""Variables: their types, where their values come from, and what they must meet."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from boxship.cli.kinds import parse_bool
from boxship.lib.hcl import BadDefinition, BadValue, Block, Node, Scope, Span, values
from boxship.lib.hcl.nodes import Literal
from boxship.lib.hcl.parser import parse_expression
from boxship.lib.hcl.types import PRIMITIVE, Type, type_of

KNOWN: Final = ("default", "type", "description")
NOBODY: Final = Scope({})


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable as a file has it."""

    name: str
    span: Span
    default: Node | None
    kind: Type | None
    description: str
    validations: Sequence[Block]

    @classmethod
    def of(cls, block: Block) -> Variable:
        said = block.body.attributes
        for name, node in said.items():
            if name not in KNOWN:
                detail = f'An argument named "{name}" is not expected here.'
                raise BadDefinition("Unsupported argument", detail, node.span)
        kind = said.get("type")
        description = said.get("description")
        told = description.as_(values.text, NOBODY, "Incorrect type") if description else ""
        validations = [one for one in block.body.blocks if one.kind == "validation"]
        return cls(
            block.labels[0],
            block.span,
            said.get("default"),
            type_of(_type(kind), NOBODY) if kind else None,
            told,
            validations,
        )

    def check(self, scope: Scope) -> None:
        """Raise BadDefinition with the file's own words where a condition does not hold."""
        for block in self.validations:
            condition = block.body.attributes.get("condition")
            if condition is None:
                detail = 'The argument "condition" is required.'
                raise BadDefinition("Missing required argument", detail, block.span)
            if condition.as_(values.truth, scope, "Invalid condition result"):
                continue
            said = block.body.attributes.get("error_message")
            words = said.as_(values.text, scope, "Incorrect type") if said else ""
            detail = words or f"This check failed, but the variable {self.name} has no message."
            raise condition.wrong("Validation failed", detail)


def _type(node: Node) -> Node:
    """Return a type's expression; the JSON form has it as text."""
    if isinstance(node, Literal) and isinstance(node.value, str):
        return parse_expression(node.value, node.span.source.name)
    return node


def chosen(
    variable: Variable,
    default: Any,
    environment: Mapping[str, str],
    given: Mapping[str, str],
) -> Any:
    """Return a variable's value: what was asked, the environment's, else what the file says."""
    name, kind = variable.name, variable.kind
    said = given.get(name, environment.get(name))
    if kind is not None:
        as_json = given.get(f"{name}_JSON", environment.get(f"{name}_JSON"))
        if as_json is not None:
            return _of_json(name, kind, as_json)
        return kind.convert(default) if said is None else _of_type(name, kind, said)
    if said is None:
        return "" if variable.default is None else default
    match default:
        case bool():
            return _flag(name, said)
        case None | str():
            return said
        case _ if values.is_number(default):
            return _number(name, said)
    raise BadValue(f"unsupported type {values.kind_of(default)} for variable {name}")


def _of_json(name: str, kind: Type, said: str) -> Any:
    try:
        return kind.convert(values.from_json(json.loads(said)))
    except ValueError as error:
        raise BadValue(f"failed to convert JSON for variable {name}: {error}") from None


def _of_type(name: str, kind: Type, said: str) -> Any:
    if kind.kind in ("string", "any"):
        return said
    if kind.kind == "bool":
        return _flag(name, said)
    if kind.kind == "number":
        return _number(name, said)
    if kind.kind in ("list", "set", "tuple") and all(one.kind in PRIMITIVE for one in kind.inner):
        return kind.convert([one.strip() for one in _row(said)])
    if kind.kind == "map" and kind.inner[0].kind in PRIMITIVE:
        pairs = [one.partition("=") for one in _row(said)]
        if any(not equals for _, equals, _ in pairs):
            raise BadValue(f"invalid key=value pair for variable {name}")
        return kind.convert({key.strip(): value for key, _, value in pairs})
    raise BadValue(f"unsupported type {kind} for variable {name}")


def _row(said: str) -> list[str]:
    return next(csv.reader([said]), []) if said else []


def _flag(name: str, said: str) -> bool:
    try:
        return parse_bool(said)
    except ValueError as error:
        raise BadValue(f"failed to parse {name} as bool: {error}") from None


def _number(name: str, said: str) -> Any:
    try:
        return values.parse_number(said)
    except BadValue as error:
        raise BadValue(f"failed to parse {name} as number: {error}") from None
