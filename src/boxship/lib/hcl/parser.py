"""HCL's own syntax: text to bodies and expressions.

    name = expression
    kind "label" {
      name = expression
    }

A line end closes an attribute, except within brackets and parentheses. Templates are read by
`templates`, in place, so that every node knows where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from boxship.lib.hcl.body import Block, Body
from boxship.lib.hcl.nodes import (
    Call,
    Conditional,
    For,
    Index,
    Literal,
    Node,
    Object,
    Splat,
    Variable,
)
from boxship.lib.hcl.nodes import Tuple as TupleNode
from boxship.lib.hcl.operators import LEVELS, Binary, Unary
from boxship.lib.hcl.source import BadDefinition, BadValue, Source, Span
from boxship.lib.hcl.values import parse_number

DEPTH: Final = 60
SPACE: Final = re.compile(r"(?:[ \t\r\ufeff]|\#[^\n]*|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
SPACES: Final = re.compile(r"(?:\s|\ufeff|\#[^\n]*|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
NAME: Final = re.compile(r"[^\W\d](?:\w|-)*")
NUMBER: Final = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
HEREDOC: Final = re.compile(r"<<(-?)([^\W\d](?:\w|-)*)\r?\n")
CONSTANTS: Final = {"true": True, "false": False, "null": None}


def parse(text: str, name: str = "") -> Body:
    """Read a whole file."""
    parser = Parser(Source(text, name))
    try:
        return parser.body(closed=False)
    except RecursionError:
        raise parser.fail("Invalid expression", "It is nested too deep.") from None


def parse_expression(text: str, name: str = "") -> Node:
    """Read one expression."""
    parser = Parser(Source(text, name))
    with parser.lines(False):
        node = parser.expression()
        if parser.peek():
            raise parser.fail("Extra characters after expression", "There is more than that.")
    return node


class Parser:
    """Reads from `at` to `end`."""

    def __init__(self, source: Source, at: int = 0, end: int | None = None) -> None:
        self.source = source
        self.at = at
        self.end = len(source.text) if end is None else end
        self._line_ends = True  # whether they mean something
        self._depth = 0

    # Reading

    def fail(self, summary: str, detail: str, start: int | None = None) -> BadDefinition:
        begin = self.at if start is None else start
        return BadDefinition(summary, detail, Span(self.source, begin, max(begin + 1, self.at)))

    def span(self, start: int) -> Span:
        return Span(self.source, start, self.at)

    @contextmanager
    def lines(self, matter: bool) -> Iterator[None]:
        """For the block, have line ends mean something or nothing."""
        kept, self._line_ends = self._line_ends, matter
        self._depth += 1
        if self._depth > DEPTH:
            raise self.fail("Invalid expression", "It is nested too deep.")
        try:
            yield
        finally:
            self._line_ends = kept
            self._depth -= 1

    def skip(self) -> None:
        found = (SPACE if self._line_ends else SPACES).match(self.source.text, self.at, self.end)
        assert found is not None
        self.at = found.end()

    def peek(self) -> str:
        """Return the next character after what means nothing; empty at the end."""
        self.skip()
        return self.source.text[self.at : self.at + 1] if self.at < self.end else ""

    def looking_at(self, sign: str) -> bool:
        self.skip()
        return self.source.text.startswith(sign, self.at, self.end)

    def accept(self, sign: str) -> bool:
        if self.looking_at(sign):
            self.at += len(sign)
            return True
        return False

    def expect(self, sign: str, summary: str, detail: str) -> None:
        if not self.accept(sign):
            raise self.fail(summary, detail)

    def name(self) -> str:
        """Take a name; empty where none stands."""
        self.skip()
        found = NAME.match(self.source.text, self.at, self.end)
        if found is None:
            return ""
        self.at = found.end()
        return found[0]

    def accept_word(self, word: str) -> bool:
        before = self.at
        if self.name() == word:
            return True
        self.at = before
        return False

    # Bodies

    def body(self, *, closed: bool) -> Body:
        """Read what stands in a file, or with `closed` up to a brace."""
        begun = self.at
        body = Body(Span(self.source, begun, begun))
        while True:
            while self.peek() == "\n":
                self.at += 1
            if closed and self.accept("}"):
                break
            if not self.peek():
                if closed:
                    detail = "There is no closing brace for this block."
                    raise self.fail("Unclosed configuration block", detail, begun)
                break
            self._item(body)
            if self.peek() not in ("\n", ""):
                raise self.fail(
                    "Missing newline after argument",
                    "An argument definition must end with a newline.",
                )
        body.span = self.span(begun)
        return body

    def _item(self, into: Body) -> None:
        start = self.at
        name = self.name()
        if not name:
            raise self.fail(
                "Invalid argument name"
                if self.peek() == '"'
                else "Argument or block definition required",
                "Argument names must not be quoted."
                if self.peek() == '"'
                else "An argument or block definition is required here.",
            )
        if self.looking_at("=") and not self.looking_at("=="):
            self._attribute(into, name, start)
            return
        labels: list[str] = []
        while not self.accept("{"):
            if self.peek() == '"':
                labels.append(self._label())
            elif label := self.name():
                labels.append(label)
            else:
                raise self.fail(
                    "Invalid block definition",
                    "Either a quoted string block label or an opening brace is expected here.",
                )
        head = self.span(start)
        into.blocks.append(Block(head, name, tuple(labels), self._block_body(head)))

    def _attribute(self, into: Body, name: str, start: int) -> None:
        self.at += 1
        if name in into.attributes:
            line, _ = self.source.place(into.attributes[name].span.start)
            raise self.fail(
                "Attribute redefined",
                f'The argument "{name}" was already set at {self.source.name}:{line}. '
                "Each argument may be set only once.",
                start,
            )
        into.attributes[name] = self.expression()

    def _block_body(self, head: Span) -> Body:
        """Read after the brace: a line's end and then lines, or one attribute and a brace."""
        with self.lines(True):
            if self.peek() in ("\n", "}"):
                return self.body(closed=True)
            start = self.at
            body = Body(self.span(start))
            name = self.name()
            if not name or not self.looking_at("=") or self.looking_at("=="):
                raise self.fail(
                    "Invalid single-argument block definition",
                    "A single-line block definition can contain only a single argument.",
                    start,
                )
            self._attribute(body, name, start)
            if not self.accept("}"):
                raise self.fail(
                    "Invalid single-argument block definition",
                    "An argument definition on the same line as its containing block creates a "
                    "single-line block definition, which must also be closed on the same line.",
                    head.start,
                )
            return body

    def _label(self) -> str:
        start = self.at
        node = self._quoted()
        if not isinstance(node, Literal):
            raise self.fail("Invalid block label", "A label must be a plain string.", start)
        return str(node.value)

    # Expressions

    def expression(self) -> Node:
        """Read an expression with all of its operators."""
        self.skip()
        start = self.at
        self._depth += 1
        if self._depth > DEPTH:
            raise self.fail("Invalid expression", "It is nested too deep.")
        node = self._binary(0)
        if self.accept("?"):
            yes = self.expression()
            self.expect(":", "Missing false expression in conditional", "A colon is expected here.")
            no = self.expression()
            node = Conditional(self.span(start), node, yes, no)
        self._depth -= 1
        return node

    def _binary(self, level: int) -> Node:
        self.skip()
        start = self.at
        node = self._unary()
        while found := self._operator(level):
            here, sign = found
            self.at += len(sign)
            right = self._binary(here + 1)
            node = Binary(self.span(start), sign, LEVELS[here][sign], node, right)
        return node

    def _operator(self, least: int) -> tuple[int, str] | None:
        """Return the next operator that binds at least so tightly."""
        self.skip()
        for size in (2, 1):
            sign = self.source.text[self.at : min(self.at + size, self.end)]
            if size == 2 and sign in ("//", "/*"):
                return None
            for level, signs in enumerate(LEVELS):
                if sign in signs:
                    return (level, sign) if level >= least else None
        return None

    def _unary(self) -> Node:
        start, sign = self.at, self.peek()
        if sign in ("!", "-") and sign and not self.looking_at("!="):
            self.at += 1
            self._depth += 1
            if self._depth > DEPTH:
                raise self.fail("Invalid expression", "It is nested too deep.")
            of = self._unary()
            self._depth -= 1
            return Unary(self.span(start), sign, of)
        return self._path(start)

    def _path(self, start: int) -> Node:
        """Read a term and what is taken from it: `.name`, `[key]`, `[*]`, `.*`."""
        node = self._term()
        while True:
            if self.looking_at("...") or not (self.looking_at(".") or self.looking_at("[")):
                return node
            if self.accept("."):
                if self.accept("*"):
                    node = Splat(self.span(start), node, self._steps(node, dots=True))
                    continue
                node = Index(self.span(start), node, self._member())
                continue
            self.at += 1
            with self.lines(False):
                if self.accept("*"):
                    self._close_index()
                    splat = True
                else:
                    key, splat = self.expression(), False
                    self._close_index()
            if splat:
                node = Splat(self.span(start), node, self._steps(node, dots=False))
            else:
                node = Index(self.span(start), node, key)

    def _close_index(self) -> None:
        self.expect("]", "Missing close bracket on index", "A closing bracket is expected here.")

    def _member(self) -> Literal:
        start = self.at
        if found := NUMBER.match(self.source.text, self.at, self.end):
            digits = found[0].partition(".")[0]
            self.at += len(digits)
            return Literal(self.span(start), int(digits))
        name = self.name()
        if not name:
            detail = "An attribute name is required after a dot."
            raise self.fail("Invalid attribute name", detail)
        return Literal(self.span(start), name)

    def _steps(self, of: Node, *, dots: bool) -> Sequence[Index]:
        """Read what follows a splat; after `.*` only names."""
        steps: list[Index] = []
        while True:
            start = self.at
            if not self.looking_at("...") and self.accept("."):
                steps.append(Index(self.span(start), of, self._member()))
            elif not dots and self.accept("["):
                with self.lines(False):
                    key = self.expression()
                    self._close_index()
                steps.append(Index(self.span(start), of, key))
            else:
                return steps

    def _term(self) -> Node:
        sign, start = self.peek(), self.at
        if sign == '"':
            return self._quoted()
        if found := HEREDOC.match(self.source.text, self.at, self.end):
            return self._heredoc(found)
        if sign == "(":
            self.at += 1
            with self.lines(False):
                node = self.expression()
                self.expect(")", "Unbalanced parentheses", "A closing parenthesis is expected.")
            return node
        if sign == "[":
            self.at += 1
            with self.lines(False):
                return self._list(start)
        if sign == "{":
            self.at += 1
            return self._object(start)
        if found := NUMBER.match(self.source.text, self.at, self.end):
            self.at = found.end()
            try:
                return Literal(self.span(start), parse_number(found[0]))
            except BadValue:
                raise self.fail("Invalid number literal", "It is too large.", start) from None
        name = self.name()
        if not name:
            raise self.fail("Invalid expression", "Expected the start of an expression.")
        if self.looking_at("("):
            return self._call(name, start)
        if name in CONSTANTS:
            return Literal(self.span(start), CONSTANTS[name])
        return Variable(self.span(start), name)

    def _call(self, name: str, start: int) -> Node:
        self.at += 1
        arguments: list[Node] = []
        spread = False
        with self.lines(False):
            while not self.accept(")"):
                arguments.append(self.expression())
                if self.accept("..."):
                    spread = True
                    self.expect(")", "Missing closing parenthesis", "It must follow the dots.")
                    break
                if not self.accept(",") and self.peek() != ")":
                    detail = "A comma is required to separate each function argument."
                    raise self.fail("Missing argument separator", detail)
        return Call(self.span(start), name, arguments, spread)

    def _list(self, start: int) -> Node:
        if self.accept_word("for"):
            return self._for(start, "]")
        items: list[Node] = []
        while not self.accept("]"):
            items.append(self.expression())
            if not self.accept(",") and self.peek() != "]":
                detail = "Expected a comma to mark the beginning of the next item."
                raise self.fail("Missing item separator", detail)
        return TupleNode(self.span(start), items)

    def _object(self, start: int) -> Node:
        with self.lines(False):
            if self.accept_word("for"):
                mark = self.at
                if self.peek() not in ("=", ":"):
                    return self._for(start, "}")
                self.at = mark - len("for")
        pairs: list[tuple[Node, Node]] = []
        with self.lines(True):
            while True:
                while self.peek() == "\n":
                    self.at += 1
                if self.accept("}"):
                    return Object(self.span(start), pairs)
                pairs.append(self._pair())
                if self.peek() not in ("\n", "}") and not self.accept(","):
                    detail = "Expected a newline or comma to mark the beginning of the next one."
                    raise self.fail("Missing attribute separator", detail)

    def _pair(self) -> tuple[Node, Node]:
        start = self.at
        name = self.name()
        if name and self.peek() in ("=", ":"):
            key: Node = Literal(self.span(start), name)
        else:
            self.at = start
            key = self.expression()
        if not self.accept("=") and not self.accept(":"):
            detail = "Expected an equals sign to mark the beginning of the attribute value."
            raise self.fail("Missing attribute value", detail)
        return key, self.expression()

    def for_head(self) -> tuple[str, str, Node]:
        """Read `key, value in collection`."""
        key, value = "", self.name()
        if self.accept(","):
            key, value = value, self.name()
        if not value or not self.accept_word("in"):
            detail = "For expression requires the 'in' keyword after its name declarations."
            raise self.fail("Invalid 'for' expression", detail)
        return key, value, self.expression()

    def _for(self, start: int, closing: str) -> Node:
        key, value, of = self.for_head()
        self.expect(":", "Invalid 'for' expression", "A colon is required after the collection.")
        name, result = None, self.expression()
        grouped = False
        if closing == "}":
            detail = "An arrow is required between key and value."
            self.expect("=>", "Invalid 'for' expression", detail)
            name, result = result, self.expression()
            grouped = self.accept("...")
        condition = self.expression() if self.accept_word("if") else None
        detail = "Extra characters after the end of the 'for' expression."
        self.expect(closing, "Invalid 'for' expression", detail)
        return For(self.span(start), key, value, of, name, result, condition, grouped)

    # Templates

    def _quoted(self) -> Node:
        from boxship.lib.hcl.templates import quoted

        return quoted(self)

    def _heredoc(self, opening: re.Match[str]) -> Node:
        from boxship.lib.hcl.templates import heredoc

        return heredoc(self, opening)
