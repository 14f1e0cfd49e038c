"""HCL files become a definition: variables, functions, attributes and targets that refer to each
other in any order; each is worked out when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from boxship.cli.baking.target import (
    MEMBERS,
    Definition,
    Group,
    Setting,
    Target,
    check_name,
    converted,
)
from boxship.cli.baking.variables import Variable, chosen
from boxship.lib.hcl import BadDefinition, BadValue, Block, Body, Node, Scope, values
from boxship.lib.hcl.functions import functions
from boxship.lib.hcl.nodes import Tuple
from boxship.lib.hcl.nodes import Variable as Name

BLOCKS: Final[Mapping[str, Sequence[str]]] = {
    "group": (),
    "target": (),
    "variable": ("validation",),
    "function": (),
}
OWN: Final = ("name", "matrix")  # attributes of a target that are no members
GROUP: Final = ("targets", "description")


@dataclass(frozen=True, slots=True)
class _Function:
    params: Sequence[str]
    rest: str
    result: Node


class Evaluation(Mapping[str, Any]):
    """The names of the files, each worked out on demand."""

    def __init__(
        self,
        bodies: Sequence[Body],
        environment: Mapping[str, str],
        builtin: Mapping[str, str],
        given: Mapping[str, str],
    ) -> None:
        self._environment = environment
        self._given = given
        self._builtin = builtin
        self._attributes: dict[str, Node] = {}
        self._variables: dict[str, Variable] = {}
        self._functions: dict[str, _Function] = {}
        self._values: dict[str, Any] = dict(builtin)
        self._working: set[str] = set()
        self._blocks: list[_Named] = []
        self.groups: list[Block] = []
        self.scope = Scope(self, _Functions(self))
        for body in bodies:
            self._take(body)

    def _take(self, body: Body) -> None:
        for name, node in body.attributes.items():
            if name in self._attributes and name not in self._variables:
                detail = f'The argument "{name}" was already set.'
                raise BadDefinition("Duplicate argument", detail, node.span)
            if name not in self._builtin:
                self._attributes[name] = node
        for block in body.blocks:
            if block.kind in BLOCKS and len(block.labels) != 1:
                detail = f"invalid block label: [{' '.join(block.labels)}]"
                raise BadDefinition("Invalid block", detail, block.span)
            match block.kind:
                case "variable":
                    if block.labels[0] not in self._builtin:
                        self._variables[block.labels[0]] = Variable.of(block)
                case "function":
                    self._functions[block.labels[0]] = _function(block)
                case "group":
                    self.groups.append(block)
                case "target":
                    self._blocks.append(_Named(block, self))

    # Names

    def __getitem__(self, name: str) -> Any:
        if name == "target":
            return _Targets(self._blocks)
        if name not in self._values:
            if name not in self._attributes and name not in self._variables:
                raise KeyError(name)
            self._values[name] = self._work_out(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._builtin, **self._attributes, **self._variables})

    def __len__(self) -> int:
        return len(set(self))

    def _work_out(self, name: str) -> Any:
        variable = self._variables.get(name)
        node = self._attributes.get(name) or (variable.default if variable else None)
        span = node.span if node else variable.span if variable else None
        if name in self._working:
            detail = f"variable cycle not allowed for {name}"
            raise BadDefinition("Invalid expression", detail, span)
        self._working.add(name)
        try:
            default = node.evaluate(self.scope) if node else None
        finally:
            self._working.discard(name)
        if variable is None:
            return default
        try:
            return chosen(variable, default, self._environment, self._given)
        except BadValue as error:
            raise BadDefinition("Invalid value", str(error), variable.span) from None

    def function(self, name: str) -> Callable[..., Any]:
        """Return a function of the files' own."""
        said = self._functions[name]

        def call(*given: Any) -> Any:
            if len(given) < len(said.params) or (len(given) > len(said.params) and not said.rest):
                raise BadValue(f"{len(said.params)} arguments are expected, {len(given)} given")
            if name in self._working:
                raise BadValue(f"function cycle not allowed for {name}")
            inner = dict(zip(said.params, given, strict=False))
            if said.rest:
                inner[said.rest] = list(given[len(said.params) :])
            self._working.add(name)
            try:
                return said.result.evaluate(self.scope.with_(**inner))
            finally:
                self._working.discard(name)

        return call

    def has_function(self, name: str) -> bool:
        return name in self._functions

    # The whole

    def into(self, definition: Definition) -> None:
        """Work out everything, and add it to a definition."""
        for name in self:
            self[name]
        for variable in self._variables.values():
            variable.check(self.scope)
        for block in self.groups:
            definition.add_group(_group(block, self.scope))
        renamed: dict[str, list[str]] = {}
        for named in self._blocks:
            definition.warnings.extend(named.unknown())
            for name, target in named.targets():
                definition.add_target(name, target)
                renamed.setdefault(named.block.labels[0], []).append(name)
        for label, names in renamed.items():
            distinct = list(dict.fromkeys(names))
            if distinct != [label]:
                definition.add_group(Group(label, distinct))
        for name, variable in sorted(self._variables.items()):
            said = Setting(name, str(variable.kind or ""), self[name], variable.description)
            definition.variables.append(said)


class _Functions(Mapping[str, Callable[..., Any]]):
    """The files' own functions, and those that bake has."""

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if self._evaluation.has_function(name):
            return self._evaluation.function(name)
        return functions()[name]

    def __contains__(self, name: object) -> bool:
        return self._evaluation.has_function(str(name)) or name in functions()

    def __iter__(self) -> Iterator[str]:
        return iter(functions())

    def __len__(self) -> int:
        return len(functions())


@dataclass(slots=True)
class _Named:
    """A target's block, and the targets that a matrix makes of it."""

    block: Block
    evaluation: Evaluation
    _contexts: list[tuple[str, Scope]] | None = None
    _members: dict[tuple[str, str], Any] = field(default_factory=dict)
    _working: set[tuple[str, str]] = field(default_factory=set)

    def contexts(self) -> list[tuple[str, Scope]]:
        """Return name and scope of each target."""
        if self._contexts is None:
            scopes = self._scopes()
            named = [(self._name(scope), scope) for scope in scopes]
            if len({name for name, _ in named}) != len(named):
                raise BadDefinition("Invalid name", "duplicate name", self.block.span)
            self._contexts = named
        return self._contexts

    def _scopes(self) -> list[Scope]:
        outer = self.evaluation.scope
        node = self.block.body.attributes.get("matrix")
        if node is None:
            return [outer]
        matrix = node.evaluate(outer)
        if not isinstance(matrix, Mapping):
            raise node.wrong("Invalid attribute", "matrix must be a map")
        rows: list[dict[str, Any]] = [{}]
        for key in sorted(matrix):
            if not isinstance(matrix[key], list):
                raise node.wrong("Invalid attribute", "matrix values must be a list")
            rows = [{**row, key: value} for value in matrix[key] for row in rows]
        return [outer.with_(**row) for row in rows]

    def _name(self, scope: Scope) -> str:
        node = self.block.body.attributes.get("name")
        name = self.block.labels[0]
        if node is not None:
            if "matrix" not in self.block.body.attributes:
                raise node.wrong("Invalid name", "name requires matrix")
            name = node.as_(values.text, scope, "Invalid name")
        try:
            check_name(name)
        except BadValue as error:
            raise BadDefinition("Invalid name", str(error), self.block.span) from None
        return name

    def unknown(self) -> Iterator[str]:
        """Tell of the attributes that mean nothing."""
        for member, node in self.block.body.attributes.items():
            if member not in MEMBERS and member not in OWN:
                label = self.block.labels[0]
                yield f'{node.span}: target {label} has an unknown attribute "{member}"'

    def targets(self) -> Iterator[tuple[str, Target]]:
        """Work out all members of all targets."""
        for block in self.block.body.blocks:
            detail = f'Blocks of type "{block.kind}" are not expected here.'
            raise BadDefinition("Unsupported block type", detail, block.span)
        for name, scope in self.contexts():
            members = (one for one in self.block.body.attributes if one in MEMBERS)
            said = {member: self.member(name, member, scope) for member in members}
            yield name, {member: value for member, value in said.items() if value is not None}

    def member(self, name: str, member: str, scope: Scope) -> Any:
        """Return a member of a target; one that says nothing is null."""
        node = self.block.body.attributes.get(member)
        if node is None:
            return None
        key = (name, member)
        if key not in self._members:
            if key in self._working:
                detail = f"reference cycle not allowed for target.{name}.{member}"
                raise node.wrong("Invalid expression", detail)
            self._working.add(key)
            try:
                self._members[key] = converted(member, node.evaluate(scope))
            except BadValue as error:
                raise node.wrong("Unsuitable value type", f"Unsuitable value: {error}") from None
            finally:
                self._working.discard(key)
        return self._members[key]


class _Targets(Mapping[str, Any]):
    """`target`: each target by its name."""

    def __init__(self, blocks: Sequence[_Named]) -> None:
        self._blocks = blocks

    def __getitem__(self, name: str) -> Any:
        found = [
            (block, scope)
            for block in self._blocks
            if name == block.block.labels[0] or "matrix" in block.block.body.attributes
            for known, scope in block.contexts()
            if known == name
        ]
        if not found:
            raise KeyError(name)
        return _Members(name, found)

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for one in self._blocks for name, _ in one.contexts()))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class _Members(Mapping[str, Any]):
    """The members of one target, each worked out alone."""

    def __init__(self, name: str, blocks: Sequence[tuple[_Named, Scope]]) -> None:
        self._name = name
        self._blocks = blocks

    def __getitem__(self, member: str) -> Any:
        if member == "name":
            return self._name
        if member not in MEMBERS:
            raise KeyError(member)
        for block, scope in reversed(self._blocks):
            if member in block.block.body.attributes:
                return block.member(self._name, member, scope)
        return None

    def __iter__(self) -> Iterator[str]:
        return iter(MEMBERS)

    def __len__(self) -> int:
        return len(MEMBERS)


def _group(block: Block, scope: Scope) -> Group:
    attributes = block.body.attributes
    for name in attributes:
        if name in OWN:
            detail = f"{name} is not supported for groups"
            raise BadDefinition("Invalid group", detail, attributes[name].span)
        if name not in GROUP:
            detail = f'An argument named "{name}" is not expected here.'
            raise BadDefinition("Unsupported argument", detail, attributes[name].span)
    name = block.labels[0]
    try:
        check_name(name)
    except BadValue as error:
        raise BadDefinition("Invalid name", str(error), block.span) from None
    if "targets" not in attributes:
        detail = 'The argument "targets" is required, but no definition was found.'
        raise BadDefinition("Missing required argument", detail, block.span)
    said = attributes["targets"].as_(
        lambda value: [values.text(one) for one in values.sequence(value)],
        scope,
        "Incorrect attribute value type",
    )
    description = attributes.get("description")
    told = description.as_(values.text, scope, "Incorrect type") if description else ""
    return Group(name, list(dict.fromkeys(said)), told)


def _function(block: Block) -> _Function:
    said = block.body.attributes
    for needed in ("params", "result"):
        if needed not in said:
            detail = f'The argument "{needed}" is required, but no definition was found.'
            raise BadDefinition("Missing required argument", detail, block.span)
    params = said["params"]
    if not isinstance(params, Tuple):
        raise params.wrong("Invalid param element", "A list of names is required.")
    rest = _keyword(said["variadic_params"]) if "variadic_params" in said else ""
    return _Function(tuple(map(_keyword, params.items)), rest, said["result"])


def _keyword(node: Node) -> str:
    from boxship.lib.hcl.nodes import Literal

    if isinstance(node, Name):
        return node.name
    if isinstance(node, Literal) and isinstance(node.value, str):  # the JSON form has no names
        return node.value
    raise node.wrong("Invalid param element", "Each parameter name must be an identifier.")
