"""Expressions, as the parser makes them; each can be evaluated in a scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from boxship.lib.hcl import values
from boxship.lib.hcl.source import BadDefinition, BadValue, Span
from boxship.lib.hcl.values import Value

Function = Callable[..., Value]
PRIMITIVE: Final = ("bool", "number", "string")
LAZY: Final = frozenset({"try", "can", "convert"})  # they are given expressions, not values


@dataclass(frozen=True, slots=True)
class Scope:
    """What names mean; what is not found here is looked for outside."""

    variables: Mapping[str, Value]
    functions: Mapping[str, Function] = field(default_factory=dict)
    outer: Scope | None = None

    def variable(self, name: str) -> Value:
        """Return a variable's value; KeyError where there is none."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.variables:
                return scope.variables[name]
            scope = scope.outer
        raise KeyError(name)

    def function(self, name: str) -> Function:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.functions:
                return scope.functions[name]
            scope = scope.outer
        raise KeyError(name)

    def with_(self, **variables: Value) -> Scope:
        return Scope(variables, outer=self)


@dataclass(frozen=True, slots=True)
class Node:
    """Any expression."""

    span: Span

    def evaluate(self, scope: Scope) -> Value:
        """Return its value; BadDefinition tells what is wrong and where."""
        raise NotImplementedError

    def wrong(self, summary: str, detail: object) -> BadDefinition:
        return BadDefinition(summary, str(detail), self.span)

    def as_(self, convert: Callable[[Value], Value], scope: Scope, summary: str) -> Value:
        """Return the value converted."""
        try:
            return convert(self.evaluate(scope))
        except BadValue as error:
            raise self.wrong(summary, f"Unsuitable value: {error}.") from None


@dataclass(frozen=True, slots=True)
class Literal(Node):
    value: Value

    def evaluate(self, scope: Scope) -> Value:
        return self.value


@dataclass(frozen=True, slots=True)
class Template(Node):
    """Text with values in it."""

    parts: Sequence[Node]

    def evaluate(self, scope: Scope) -> Value:
        return "".join(self._text(part, scope) for part in self.parts)

    def _text(self, part: Node, scope: Scope) -> str:
        value = part.evaluate(scope)
        try:
            return values.text(value)
        except BadValue as error:
            said = "The expression result is null. Cannot include a null value in a string template"
            detail = said if value is None else f"Cannot include this value in a template: {error}"
            raise part.wrong("Invalid template interpolation value", f"{detail}.") from None


@dataclass(frozen=True, slots=True)
class Variable(Node):
    name: str

    def evaluate(self, scope: Scope) -> Value:
        try:
            return scope.variable(self.name)
        except KeyError:
            detail = f'There is no variable named "{self.name}".'
            raise self.wrong("Unknown variable", detail) from None


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`of[key]`, and `of.name` with a literal key."""

    of: Node
    key: Node

    def evaluate(self, scope: Scope) -> Value:
        return self.within(self.of.evaluate(scope), self.key.evaluate(scope))

    def within(self, held: Value, key: Value) -> Value:
        """Return the element under `key`."""
        try:
            return element(held, key)
        except BadValue as error:
            raise self.wrong("Invalid index", error) from None


def element(held: Value, key: Value) -> Value:
    """Return an element of a collection; BadValue where there is none."""
    if held is None:
        raise BadValue("Cannot access an element of a null value.")
    if isinstance(held, values.Set):
        raise BadValue("Elements of a set are identified only by their value.")
    if isinstance(held, list):
        place = values.whole(key)
        if not 0 <= place < len(held):
            raise BadValue(f"The given index is not in a collection of {len(held)} elements.")
        return held[place]
    if isinstance(held, Mapping):
        name = values.text(key)
        if name not in held:
            raise BadValue(f'This object does not have an attribute named "{name}".')
        return held[name]
    raise BadValue("This value does not have any indices or attributes.")


@dataclass(frozen=True, slots=True)
class Splat(Node):
    """`of[*].path`: the same of every element."""

    of: Node
    path: Sequence[Index]

    def evaluate(self, scope: Scope) -> Value:
        held = self.of.evaluate(scope)
        if held is None:
            return []
        every = held if isinstance(held, list) else [held]
        return [self._down(one, scope) for one in every]

    def _down(self, value: Value, scope: Scope) -> Value:
        for step in self.path:
            value = step.within(value, step.key.evaluate(scope))
        return value


@dataclass(frozen=True, slots=True)
class Tuple(Node):
    items: Sequence[Node]

    def evaluate(self, scope: Scope) -> Value:
        return [item.evaluate(scope) for item in self.items]


@dataclass(frozen=True, slots=True)
class Object(Node):
    pairs: Sequence[tuple[Node, Node]]

    def evaluate(self, scope: Scope) -> Value:
        found: dict[str, Value] = {}
        for key, value in self.pairs:
            found[key.as_(values.text, scope, "Incorrect key type")] = value.evaluate(scope)
        return found


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function's call; with `spread` the last argument is a list of them."""

    name: str
    arguments: Sequence[Node]
    spread: bool = False

    def evaluate(self, scope: Scope) -> Value:
        try:
            called = scope.function(self.name)
        except KeyError:
            detail = f'There is no function named "{self.name}".'
            raise self.wrong("Call to unknown function", detail) from None
        try:
            if self.name in LAZY:
                return called(scope, *self.arguments)
            given = [one.evaluate(scope) for one in self.arguments]
            if self.spread:
                given[-1:] = values.sequence(given[-1])
            return called(*given)
        except BadValue as error:
            detail = f'Call to function "{self.name}" failed: {error}.'
            raise self.wrong("Error in function call", detail) from None


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    condition: Node
    yes: Node
    no: Node

    def evaluate(self, scope: Scope) -> Value:
        holds = self.condition.as_(values.truth, scope, "Incorrect condition type")
        chosen, other = (self.yes, self.no) if holds else (self.no, self.yes)
        value = chosen.evaluate(scope)
        try:  # both sides have one type: a string where one of them is a string
            against = other.evaluate(scope)
        except BadDefinition:
            return value
        kinds = values.kind_of(value), values.kind_of(against)
        plain = [kind in PRIMITIVE for kind in kinds]
        if all(plain):
            return values.text(value) if "string" in kinds else value
        if any(plain) and "dynamic" not in kinds:
            detail = (
                "The true and false result expressions must have consistent types. One value is "
                f"{kinds[0]}, but the other is {kinds[1]}."
            )
            raise self.wrong("Inconsistent conditional result types", detail)
        return value


@dataclass(frozen=True, slots=True)
class For(Node):
    """`[for key, value in of : result if condition]`, or an object with `name`s."""

    key: str
    value: str
    of: Node
    name: Node | None
    result: Node
    condition: Node | None
    grouped: bool = False

    def evaluate(self, scope: Scope) -> Value:
        held = self.of.evaluate(scope)
        if held is None:
            raise self.of.wrong("Iteration over null value", "A null value cannot be iterated.")
        listed: list[Value] = []
        named: dict[str, Value] = {}
        try:
            entries = list(values.elements(held))
        except BadValue as error:
            raise self.of.wrong("Iteration over non-iterable value", error) from None
        for key, value in entries:
            inner = scope.with_(**({self.key: key} if self.key else {}), **{self.value: value})
            if self.condition is not None and not self.condition.as_(
                values.truth, inner, "Invalid 'for' condition"
            ):
                continue
            result = self.result.evaluate(inner)
            if self.name is None:
                listed.append(result)
                continue
            name = self.name.as_(values.text, inner, "Invalid object key")
            if self.grouped:
                named.setdefault(name, []).append(result)
            elif name in named:
                detail = f'Two different items produced the key "{name}" in this expression.'
                raise self.name.wrong("Duplicate object key", detail)
            else:
                named[name] = result
        return listed if self.name is None else named


@dataclass(frozen=True, slots=True)
class Repeated(Node):
    """`%{ for … }` in a template."""

    loop: For

    def evaluate(self, scope: Scope) -> Value:
        return "".join(self.loop.evaluate(scope))
