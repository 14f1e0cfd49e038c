"""Types that a variable may be given: `string`, `list(number)`, `object({ a = string })`, …"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from boxship.lib.hcl import values
from boxship.lib.hcl.source import BadDefinition, BadValue
from boxship.lib.hcl.values import Set, Value

if TYPE_CHECKING:
    from boxship.lib.hcl.nodes import Node, Scope

PRIMITIVE: Final = ("string", "number", "bool")
COLLECTIONS: Final = ("list", "set", "map")


@dataclass(frozen=True, slots=True)
class Type:
    """A type; `inner` are the types of elements, `members` those of an object by name."""

    kind: str
    inner: tuple[Type, ...] = ()
    members: Mapping[str, Type] = field(default_factory=dict)
    optional: Mapping[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        match self.kind:
            case "list" | "set" | "map":
                return f"{self.kind}({self.inner[0]})"
            case "tuple":
                return f"tuple([{', '.join(map(str, self.inner))}])"
            case "object":
                said = ", ".join(f"{name}={kind}" for name, kind in sorted(self.members.items()))
                return f"object({{{said}}})"
        return self.kind

    def convert(self, value: Value) -> Value:
        """Return a value as one of this type; BadValue where it cannot be."""
        if value is None or self.kind == "any":
            return value
        match self.kind:
            case "string":
                return values.text(value)
            case "number":
                return values.number(value)
            case "bool":
                return values.truth(value)
            case "list":
                return [self.inner[0].convert(one) for one in values.sequence(value)]
            case "set":
                return Set([self.inner[0].convert(one) for one in values.sequence(value)])
            case "map":
                found = values.mapping(value)
                return {key: self.inner[0].convert(one) for key, one in found.items()}
            case "tuple":
                items = values.sequence(value)
                if len(items) != len(self.inner):
                    raise BadValue(f"{self} required")
                return [kind.convert(one) for kind, one in zip(self.inner, items, strict=True)]
        return self._object(values.mapping(value))

    def _object(self, value: Mapping[str, Value]) -> Value:
        found: dict[str, Value] = {}
        for name, kind in self.members.items():
            if name in value and (value[name] is not None or name not in self.optional):
                found[name] = kind.convert(value[name])
            elif name in self.optional:
                found[name] = kind.convert(self.optional[name])
            else:
                raise BadValue(f'attribute "{name}" is required')
        return found


ANY: Final = Type("any")


def type_of(node: Node, scope: Scope) -> Type:
    """Read an expression as a type."""
    from boxship.lib.hcl.nodes import Call, Object, Tuple, Variable

    if isinstance(node, Variable) and node.name in (*PRIMITIVE, "any"):
        return Type(node.name)
    if isinstance(node, Call) and len(node.arguments) == 1:
        (said,) = node.arguments
        if node.name in COLLECTIONS:
            return Type(node.name, (type_of(said, scope),))
        if node.name == "tuple" and isinstance(said, Tuple):
            return Type("tuple", tuple(type_of(one, scope) for one in said.items))
        if node.name == "object" and isinstance(said, Object):
            return _object_type(said, scope)
    raise BadDefinition(
        "Invalid type specification", "This is not the specification of a type.", node.span
    )


def _object_type(said: Object, scope: Scope) -> Type:  # type: ignore[name-defined]  # noqa: F821
    from boxship.lib.hcl.nodes import Call

    members: dict[str, Type] = {}
    optional: dict[str, Value] = {}
    for key, node in said.pairs:
        name = values.text(key.evaluate(scope))
        if isinstance(node, Call) and node.name == "optional" and 1 <= len(node.arguments) <= 2:
            optional[name] = node.arguments[1].evaluate(scope) if node.arguments[1:] else None
            node = node.arguments[0]
        members[name] = type_of(node, scope)
    return Type("object", (), members, optional)
