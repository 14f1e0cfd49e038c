"""A parsed template meets its data."""

from __future__ import annotations

from boxship.lib.templates.errors import ExecutionError
from boxship.lib.templates.functions import FUNCTIONS, Function
from boxship.lib.templates.gofmt import show
from boxship.lib.templates.nodes import (
    Action,
    Branch,
    Call,
    Command,
    Dot,
    Fields,
    Jump,
    Literal,
    Name,
    Nil,
    Node,
    Pipeline,
    Text,
    Variable,
)
from boxship.lib.templates.values import (
    MISSING,
    Method,
    Missing,
    Record,
    Shape,
    is_true,
    type_name,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 16 << 20
MOST_STEPS = 2_000_000
DEEPEST = 100
NOTHING = object()  # no value is piped in


class Template:
    """A template that can be rendered any number of times."""

    def __init__(self, name: str, source: str, trees: dict[str, list[Node]]) -> None:
        self._name = name
        self._source = source
        self._trees = trees

    def render(
        self,
        data: object,
        *,
        shape: Shape | None = None,
        functions: dict[str, Function] | None = None,
    ) -> str:
        """Return the text; ExecutionError, in Go's words, where data and template disagree."""
        run = Execution(self._name, self._source, self._trees, functions or FUNCTIONS, shape)
        return run.render(data)


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


class Execution:
    """One rendering: its variables, its output and its bounds."""

    def __init__(
        self,
        name: str,
        source: str,
        trees: dict[str, list[Node]],
        functions: dict[str, Function],
        shape: Shape | None,
    ) -> None:
        self._name = name
        self._source = source
        self._trees = trees
        self._functions = functions
        self._shape = shape
        self._out: list[str] = []
        self._size = 0
        self._steps = 0
        self._depth = 0
        self._variables: list[tuple[str, object]] = []
        # The maps among a document's objects, by identity: found as their parents are read.
        self._maps: dict[int, object] = {}

    def render(self, data: object) -> str:
        self._variables = [("$", data)]
        self._walk_list(data, self._trees[self._name])
        return "".join(self._out)

    def _error(self, node: Node, message: str) -> ExecutionError:
        before = self._source[: node.at]
        line = before.count("\n") + 1
        column = len(before[before.rfind("\n") + 1 :].encode("utf-8", "surrogateescape"))
        where = f"template: {self._name}:{line}:{column}: executing"
        return ExecutionError(f'{where} "{self._name}" at <{node}>: {message}')

    def _write(self, text: str) -> None:
        self._size += len(text)
        if self._size > LONGEST:
            raise ExecutionError(f"template: {self._name}: output exceeds {LONGEST} characters")
        self._out.append(text)

    # Statements

    def _walk_list(self, dot: object, nodes: list[Node]) -> None:
        for node in nodes:
            self._walk(dot, node)

    def _walk(self, dot: object, node: Node) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise ExecutionError(f"template: {self._name}: too many steps")
        match node:
            case Text():
                self._write(node.text)
            case Action():
                value = self._pipeline(dot, node.pipe)
                if not node.pipe.variables:
                    self._print(node.pipe, value)
            case Branch(kind="range"):
                self._range(dot, node)
            case Branch():
                self._branch(dot, node)
            case Jump():
                raise _Break if node.kind == "break" else _Continue
            case Call():
                self._call_template(dot, node)

    def _print(self, node: Pipeline, value: object) -> None:
        if isinstance(value, Method):
            raise self._error(node, f"can't print {node} of type func")
        # An interface that holds nothing has no value to print.
        self._write("<no value>" if value is None and self._shape is None else show(value))

    def _branch(self, dot: object, node: Branch) -> None:
        mark = len(self._variables)
        value = self._pipeline(dot, node.pipe)
        if is_true(value):
            self._walk_list(value if node.kind == "with" else dot, node.then)
        else:
            self._walk_list(dot, node.otherwise)
        del self._variables[mark:]

    def _range(self, dot: object, node: Branch) -> None:
        mark = len(self._variables)
        pipe = node.pipe
        value = self._commands(dot, pipe)
        pairs = list(self._pairs(node, value))
        if not pairs:
            self._walk_list(dot, node.otherwise)
        if not pipe.assigns:
            self._variables.extend((name, None) for name in pipe.variables)
        inner = len(self._variables)
        for key, item in pairs:
            given = (key, item) if len(pipe.variables) > 1 else (item,)
            for name, part in zip(pipe.variables, given, strict=False):
                self._assign(name, part)
            try:
                self._walk_list(item, node.then)
            except _Continue:
                pass
            except _Break:
                break
            finally:
                del self._variables[inner:]
        del self._variables[mark:]

    def _pairs(self, node: Branch, value: object) -> Iterable[tuple[object, object]]:
        match value:
            case list() | tuple():
                return enumerate(value)
            case dict():
                return ((key, value[key]) for key in sorted(value))
            case None | Missing():
                return ()
            case int() if not isinstance(value, bool):
                return ((number, number) for number in range(min(value, MOST_STEPS)))
            case _:
                raise self._error(node.pipe, f"range can't iterate over {show(value)}")

    def _call_template(self, dot: object, node: Call) -> None:
        tree = self._trees.get(node.name)
        if tree is None:
            raise self._error(node, f'template "{node.name}" not defined')
        if self._depth >= DEEPEST:
            raise self._error(node, "exceeded maximum template depth (100)")
        data = None if node.pipe is None else self._pipeline(dot, node.pipe)
        kept, self._variables = self._variables, [("$", data)]
        self._depth += 1
        self._walk_list(data, tree)
        self._depth -= 1
        self._variables = kept

    # Expressions

    def _pipeline(self, dot: object, pipe: Pipeline) -> object:
        value = self._commands(dot, pipe)
        for name in pipe.variables:
            if pipe.assigns:
                self._assign(name, value)
            else:
                self._variables.append((name, value))
        return value

    def _commands(self, dot: object, pipe: Pipeline) -> object:
        value: object = NOTHING
        for command in pipe.commands:
            value = self._command(dot, command, value)
        return value

    def _assign(self, name: str, value: object) -> None:
        for at in range(len(self._variables) - 1, -1, -1):
            if self._variables[at][0] == name:
                self._variables[at] = (name, value)
                return

    def _variable(self, name: str) -> object:
        return next(value for found, value in reversed(self._variables) if found == name)

    def _command(self, dot: object, command: Command, final: object) -> object:
        first, words = command.words[0], command.words[1:]
        match first:
            case Name():
                return self._function(dot, command, first, words, final)
            case Fields():
                return self._fields(dot, first, words, final)
            case Pipeline():
                self._no_arguments(first, words, final)
                return self._pipeline(dot, first)
            case Nil():
                raise self._error(first, "nil is not a command")
            case _:
                self._no_arguments(first, words, final)
                return self._argument(dot, first)

    def _no_arguments(self, first: Node, words: list[Node], final: object) -> None:
        if words or final is not NOTHING:
            raise self._error(first, f"can't give argument to non-function {first}")

    def _argument(self, dot: object, node: Node) -> object:
        match node:
            case Literal():
                return node.value
            case Dot():
                return dot
            case Nil():
                return None
            case Variable():
                return self._variable(node.name)
            case Fields():
                return self._fields(dot, node, [], NOTHING)
            case Pipeline():
                return self._pipeline(dot, node)
            case Name():
                return self._function(dot, node, node, [], NOTHING)
            case _:
                raise self._error(node, f"can't handle {node} as an argument")

    def _function(
        self, dot: object, whole: Node, name: Name, words: list[Node], final: object
    ) -> object:
        if name.name in ("and", "or"):
            return self._logic(dot, name, words, final)
        arguments = [self._argument(dot, word) for word in words]
        if final is not NOTHING:
            arguments.append(final)
        if name.name == "call":
            shown = words[0] if words else name
            kind = type_name(arguments[0]) if arguments else "nil"
            raise self._error(whole, f"error calling call: non-function {shown} of type {kind}")
        function = self._functions[name.name]
        self._count(name, function, arguments)
        for at in function.words:
            if not isinstance(arguments[at], str):
                node = words[at] if at < len(words) else whole
                raise self._error(node, self._wrong_type(arguments[at], node))
        try:
            return function.call(*arguments)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._error(whole, f"error calling {name.name}: {error}") from None

    def _wrong_type(self, value: object, node: Node) -> str:
        if isinstance(node, Literal):
            return f"expected string; found {node}"
        if value is None or isinstance(value, Missing):
            return "invalid value; expected string"
        return f"wrong type for value; expected string; got {type_name(value)}"

    def _count(self, name: Name, function: Function, arguments: list[object]) -> None:
        given = len(arguments)
        if function.most is None:
            if given < function.least:
                wanted = f"want at least {function.least}"
                raise self._error(name, f"wrong number of args for {name}: {wanted} got {given}")
        elif not function.least <= given <= function.most:
            raise self._error(
                name, f"wrong number of args for {name}: want {function.most} got {given}"
            )

    def _logic(self, dot: object, name: Name, words: list[Node], final: object) -> object:
        if not words and final is NOTHING:
            raise self._error(name, f"wrong number of args for {name}: want at least 1 got 0")
        value: object = None
        for word in words:
            value = self._argument(dot, word)
            if is_true(value) == (name.name == "or"):
                return value
        return value if final is NOTHING else final

    # Fields

    def _fields(self, dot: object, node: Fields, words: list[Node], final: object) -> object:
        if node.base is None:
            value = dot
        elif isinstance(node.base, Variable):
            value = self._variable(node.base.name)
        else:
            value = self._argument(dot, node.base)
        last = len(node.names) - 1
        for at, name in enumerate(node.names):
            value = self._field(node, value, name)
            given: list[object] = []
            if at == last:
                given = [self._argument(dot, word) for word in words]
                if final is not NOTHING:
                    given.append(final)
            if isinstance(value, Method):
                if len(given) != value.arguments:
                    raise self._wrong_count(node, name, value.arguments, len(given))
                value = value.call(*given)
            elif given:
                raise self._has_arguments(node, name, dot, len(given))
        return value

    def _wrong_count(self, node: Node, name: str, want: int, got: int) -> ExecutionError:
        return self._error(node, f"wrong number of args for {name}: want {want} got {got}")

    def _has_arguments(self, node: Node, name: str, dot: object, given: int) -> ExecutionError:
        if isinstance(dot, Record):
            return self._wrong_count(node, name, 0, given)
        return self._error(node, f"{name} has arguments but cannot be invoked as function")

    def _field(self, node: Fields, value: object, name: str) -> object:
        match value:
            case Record():
                try:
                    return value.go_field(name)
                except KeyError:
                    raise self._error(
                        node, f"can't evaluate field {name} in type {value.go_type}"
                    ) from None
            case dict():
                return self._entry(node, value, name)
            case Missing():
                return value
            case None:
                if self._shape is not None:
                    return MISSING
                raise self._error(node, f"nil pointer evaluating interface {{}}.{name}")
            case _:
                kind = "interface {}" if self._shape is not None else type_name(value)
                raise self._error(node, f"can't evaluate field {name} in type {kind}")

    def _entry(self, node: Fields, value: dict[str, object], name: str) -> object:
        shape = self._shape
        found = value.get(name, MISSING)
        if shape is None:
            return found
        if id(value) in self._maps:
            return found
        if found is MISSING or found is None:
            found = self._absent(node, value, name, found)
        if name in shape.maps and isinstance(found, dict):
            self._maps[id(found)] = found
        return found

    def _absent(self, node: Fields, value: dict[str, object], name: str, found: object) -> object:
        """A struct's field that the document leaves out, or names in another case."""
        shape = self._shape
        assert shape is not None
        if found is MISSING:
            lower = name.lower()
            for key in value:
                if key.lower() == lower:
                    return value[key]
        if name in shape.zeros:
            return shape.zeros[name]
        if found is None:
            return {} if name in shape.maps else None
        raise self._error(node, f'map has no entry for key "{name}"')
