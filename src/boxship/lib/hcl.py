"""A sound part of HCL, the language of bake files.

    variable "TAG" { default = "latest" }
    target "app" {
      inherits = ["base"]
      tags     = ["app:${TAG}"]
      args     = { MODE = DEBUG == "1" ? "debug" : "release" }
    }

Blocks with labels, attributes, strings with `${…}`, heredocs, numbers, lists, objects, comments,
references, `== != && || ! ?:` and the functions of FUNCTIONS. What is beyond that is refused with
its line, never read as something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from boxship.errors import InvalidRequest

DEPTH: Final = 100
TOKEN: Final = re.compile(
    r"""(?P<space>[ \t\r]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
    |(?P<line>\n)
    |(?P<heredoc><<-?[A-Za-z_][\w]*\n)
    |(?P<quote>")
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<name>[A-Za-z_][\w-]*)
    |(?P<sign>==|!=|&&|\|\||[{}\[\]()=,:?!.])""",
    re.VERBOSE | re.DOTALL,
)
ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}

Evaluate = Callable[["Scope"], Any]


class BadSyntax(InvalidRequest):
    """The text is no HCL that is understood here."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")


@dataclass(slots=True)
class Block:
    """`kind "label" { attributes and blocks }`."""

    kind: str
    labels: tuple[str, ...]
    line: int
    attributes: dict[str, Evaluate] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


Scope = Mapping[str, Any]


def _join(separator: str, values: list[Any]) -> str:
    return separator.join(map(text, values))


FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {
    "lower": lambda value: text(value).lower(),
    "upper": lambda value: text(value).upper(),
    "trimspace": lambda value: text(value).strip(),
    "join": _join,
    "split": lambda separator, value: text(value).split(separator),
    "replace": lambda value, old, new: text(value).replace(old, new),
    "concat": lambda *lists: [one for each in lists for one in each],
    "equal": lambda one, other: one == other,
    "notequal": lambda one, other: one != other,
    "and": lambda one, other: bool(one and other),
    "or": lambda one, other: bool(one or other),
    "not": lambda value: not value,
    "length": len,
    "merge": lambda *maps: {key: value for each in maps for key, value in each.items()},
}


def parse(source: str) -> Block:
    """Return the whole text as a block without a kind."""
    return _Parser(source).whole()


def text(value: Any) -> str:
    """Return a value as it stands in a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if value is None or isinstance(value, list | dict):
        raise InvalidRequest("a list, an object or nothing cannot stand in a string")
    return str(value)


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0

    @property
    def _line(self) -> int:
        return self._source.count("\n", 0, self._at) + 1

    def _fail(self, message: str) -> BadSyntax:
        return BadSyntax(message, self._line)

    def _peek(self, *, lines: bool = True) -> tuple[str, str]:
        """Return the next token's kind and text; with `lines`, line ends are passed over."""
        while self._at < len(self._source):
            found = TOKEN.match(self._source, self._at)
            if found is None:
                raise self._fail(f"unexpected character {self._source[self._at]!r}")
            kind = found.lastgroup or ""
            if kind != "space" and (kind != "line" or not lines):
                return kind, found[0]
            self._at = found.end()
        return "end", ""

    def _take(self, *, lines: bool = True) -> tuple[str, str]:
        kind, said = self._peek(lines=lines)
        self._at += len(said)
        return kind, said

    def _expect(self, wanted: str) -> None:
        _, said = self._take()
        if said != wanted:
            raise self._fail(f"expected {wanted!r}, found {said!r}")

    def _accept(self, wanted: str) -> bool:
        if self._peek()[1] == wanted and self._peek()[0] != "end":
            self._take()
            return True
        return False

    # Bodies

    def whole(self) -> Block:
        block = Block("", (), 1)
        while self._peek()[0] != "end":
            self._item(block)
        return block

    def _item(self, into: Block) -> None:
        line = self._line
        kind, name = self._take()
        if kind not in ("name", "quote"):
            raise self._fail(f"expected a name, found {name!r}")
        if kind == "quote":
            name = self._plain_string()
        if self._accept("="):
            if name in into.attributes:
                raise self._fail(f"{name!r} is set twice")
            into.attributes[name] = self._expression()
            return
        labels: list[str] = []
        while True:
            kind, said = self._take()
            if kind == "quote":
                labels.append(self._plain_string())
            elif kind == "name":
                labels.append(said)
            elif said == "{":
                break
            else:
                raise self._fail(f"expected a block, found {said!r}")
        block = Block(name, tuple(labels), line)
        self._depth += 1
        if self._depth > DEPTH:
            raise self._fail("blocks are nested too deep")
        while not self._accept("}"):
            self._item(block)
        self._depth -= 1
        into.blocks.append(block)

    # Expressions

    def _expression(self) -> Evaluate:
        self._depth += 1
        if self._depth > DEPTH:
            raise self._fail("an expression is nested too deep")
        condition = self._either()
        if self._accept_here("?"):
            yes = self._expression()
            self._expect(":")
            no = self._expression()
            inner = condition
            condition = lambda scope: yes(scope) if inner(scope) else no(scope)  # noqa: E731
        self._depth -= 1
        return condition

    def _accept_here(self, wanted: str) -> bool:
        """Accept on the same line: a line end ends an attribute."""
        kind, said = self._peek(lines=False)
        if said == wanted and kind == "sign":
            self._take(lines=False)
            return True
        return False

    def _either(self) -> Evaluate:
        left = self._both()
        while self._accept_here("||"):
            left = _or(left, self._both())
        return left

    def _both(self) -> Evaluate:
        left = self._compared()
        while self._accept_here("&&"):
            left = _and(left, self._compared())
        return left

    def _compared(self) -> Evaluate:
        left = self._one()
        if self._accept_here("=="):
            return _same(left, self._one())
        if self._accept_here("!="):
            same = _same(left, self._one())
            return lambda scope: not same(scope)
        return left

    def _one(self) -> Evaluate:
        kind, said = self._take()
        match kind:
            case "quote":
                return self._string()
            case "heredoc":
                return self._heredoc(said)
            case "number":
                number = float(said) if "." in said else int(said)
                return lambda scope: number
            case "name":
                return self._named(said)
        match said:
            case "[":
                return self._list()
            case "{":
                return self._object()
            case "(":
                inner = self._expression()
                self._expect(")")
                return inner
            case "!":
                value = self._one()
                return lambda scope: not value(scope)
        raise self._fail(f"expected a value, found {said!r}")

    def _named(self, name: str) -> Evaluate:
        if name in ("true", "false", "null"):
            value = {"true": True, "false": False, "null": None}[name]
            return lambda scope: value
        line = self._line
        if self._accept_here("("):
            arguments: list[Evaluate] = []
            while not self._accept(")"):
                arguments.append(self._expression())
                self._accept(",")
            return _call(name, arguments, line)
        path = [name]
        while self._accept_here("."):
            path.append(self._take()[1])
        return _reference(path, line)

    def _list(self) -> Evaluate:
        items: list[Evaluate] = []
        while not self._accept("]"):
            items.append(self._expression())
            if not self._accept(",") and self._peek()[1] != "]":
                raise self._fail("expected ',' or ']'")
        return lambda scope: [item(scope) for item in items]

    def _object(self) -> Evaluate:
        pairs: list[tuple[Evaluate, Evaluate]] = []
        while not self._accept("}"):
            kind, said = self._take()
            if kind == "quote":
                key = self._string()
            elif kind == "name":
                key = _constant(said)
            elif said == "(":
                key = self._expression()
                self._expect(")")
            else:
                raise self._fail(f"expected a key, found {said!r}")
            if not self._accept("=") and not self._accept(":"):
                raise self._fail("expected '='")
            pairs.append((key, self._expression()))
            self._accept(",")
        return lambda scope: {text(key(scope)): value(scope) for key, value in pairs}

    # Strings

    def _plain_string(self) -> str:
        value = self._string()({})
        return str(value)

    def _string(self) -> Evaluate:
        parts: list[Evaluate] = []
        plain = ""
        while True:
            char = self._source[self._at : self._at + 1]
            if char in ("", "\n"):
                raise self._fail("a string does not end")
            self._at += 1
            if char == '"':
                break
            if char == "\\":
                escaped = self._source[self._at : self._at + 1]
                self._at += 1
                if escaped not in ESCAPES:
                    raise self._fail(f"unknown escape \\{escaped}")
                plain += ESCAPES[escaped]
            elif char in "$%" and self._source.startswith("{", self._at):
                plain, parts = self._interpolated(char, plain, parts)
            else:
                plain += char
        return _template([*parts, _constant(plain)] if plain else parts)

    def _interpolated(
        self, char: str, plain: str, parts: list[Evaluate]
    ) -> tuple[str, list[Evaluate]]:
        """Take `${…}`; a doubled sign is the sign itself."""
        if plain.endswith(char):
            self._at += 1
            return plain[:-1] + char + "{", parts
        if char == "%":
            raise self._fail("template directives are not understood")
        self._at += 1
        inner = self._expression()
        self._expect("}")
        return "", [*parts, _constant(plain), inner] if plain else [*parts, inner]

    def _heredoc(self, opening: str) -> Evaluate:
        mark = opening.strip().lstrip("<-")
        end = re.compile(rf"^[ \t]*{re.escape(mark)}[ \t]*$", re.MULTILINE)
        found = end.search(self._source, self._at)
        if found is None:
            raise self._fail(f"a heredoc does not end: {mark}")
        body = self._source[self._at : found.start()]
        if opening.startswith("<<-"):
            lines = body.split("\n")
            margins = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
            body = "\n".join(line[min(margins, default=0) :] for line in lines)
        self._at = found.end()
        quoted = body.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return _Parser(quoted + '"')._string()


def _constant(value: Any) -> Evaluate:
    return lambda scope: value


def _template(parts: list[Evaluate]) -> Evaluate:
    if not parts:
        return _constant("")
    if len(parts) == 1:
        return parts[0]
    return lambda scope: "".join(text(part(scope)) for part in parts)


def _or(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: bool(left(scope) or right(scope))


def _and(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: bool(left(scope) and right(scope))


def _same(left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: left(scope) == right(scope)


def _reference(path: list[str], line: int) -> Evaluate:
    def find(scope: Scope) -> Any:
        value: Any = scope
        for name in path:
            if not isinstance(value, Mapping) or name not in value:
                raise BadSyntax(f"unknown variable {'.'.join(path)!r}", line)
            value = value[name]
        return value

    return find


def _call(name: str, arguments: list[Evaluate], line: int) -> Evaluate:
    if name not in FUNCTIONS:
        raise BadSyntax(f"the function {name!r} is not known here", line)

    def call(scope: Scope) -> Any:
        try:
            return FUNCTIONS[name](*(argument(scope) for argument in arguments))
        except (TypeError, ValueError, AttributeError) as error:
            raise BadSyntax(f"{name}: {error}", line) from None

    return call
