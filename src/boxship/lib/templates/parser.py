"""Tokens become nodes. The grammar is Go's; so are the messages."""

from __future__ import annotations

from boxship.lib.templates.lexer import Token, parse_error, tokens, unquote
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from boxship.lib.templates.errors import ParseError

DEEPEST = 100
OPERANDS = frozenset(
    ("bool", "char", "dot", "field", "name", "nil", "number", "string", "variable", "(")
)


class Parser:
    """Reads one template text into trees by name; the unnamed one is the text itself."""

    def __init__(self, name: str, source: str, functions: Collection[str]) -> None:
        self._name = name
        self._source = source
        self._functions = functions
        self._tokens = list(tokens(name, source))
        self._next = 0
        self._variables = ["$"]
        self._loops = 0
        self._depth = 0
        self.trees: dict[str, list[Node]] = {}

    def parse(self) -> dict[str, list[Node]]:
        """Return the trees: the text's own under the template's name, and each that it defines."""
        body, end = self._list(top=True)
        if end != "eof":
            raise self._error(f"unexpected {{{{{end}}}}}")
        self.trees[self._name] = body
        return self.trees

    # Tokens

    def _error(self, message: str) -> ParseError:
        at = self._tokens[min(self._next, len(self._tokens) - 1)].at
        return parse_error(self._name, self._source, at, message)

    def _take(self) -> Token:
        token = self._tokens[self._next]
        if token.kind != "eof":
            self._next += 1
        return token

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _skip_space(self) -> Token:
        while self._peek().kind == "space":
            self._next += 1
        return self._peek()

    def _unexpected(self, token: Token, context: str) -> ParseError:
        if token.kind == "eof":
            return self._error("unexpected EOF")
        shown = f"<{token.text}>" if token.kind in ("if", "else", "end", "nil", "range") else None
        if shown is None:
            quoted = token.text.replace("\\", "\\\\").replace('"', '\\"')
            shown = f'"{quoted}"'
        return self._error(f"unexpected {shown} in {context}")

    # Lists of nodes

    def _list(self, *, top: bool = False) -> tuple[list[Node], str]:
        """Return nodes up to {{end}}, {{else}} or the text's end, and which of these it was."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error("template nested too deeply")
        found: list[Node] = []
        while True:
            token = self._take()
            if token.kind == "eof":
                if not top:
                    raise self._error("unexpected EOF")
                break
            if token.kind == "text":
                found.append(Text(token.at, token.text))
                continue
            word = self._skip_space()
            if word.kind in ("end", "else"):
                self._next += 1
                self._depth -= 1
                if word.kind == "end":
                    self._close("end")
                return found, word.kind
            node = self._action(word)
            if node is not None:
                found.append(node)
        self._depth -= 1
        return found, "eof"

    def _close(self, context: str) -> None:
        token = self._skip_space()
        if token.kind != "}}":
            raise self._unexpected(token, context)
        self._next += 1

    def _action(self, word: Token) -> Node | None:
        match word.kind:
            case "if" | "with" | "range":
                self._next += 1
                return self._branch(word)
            case "break" | "continue":
                self._next += 1
                if not self._loops:
                    raise self._error(f"{{{{{word.kind}}}}} outside {{{{range}}}}")
                self._close(f"{{{{{word.kind}}}}}")
                return Jump(word.at, word.kind)
            case "define":
                self._next += 1
                self._define()
                return None
            case "block":
                self._next += 1
                return self._block(word)
            case "template":
                self._next += 1
                return self._call(word)
            case _:
                return Action(word.at, self._pipeline("command", "}}"))

    def _branch(self, word: Token) -> Branch:
        kept = len(self._variables)
        pipe = self._pipeline(word.kind, "}}")
        looped = word.kind == "range"
        self._loops += looped
        then, end = self._list()
        self._loops -= looped
        otherwise: list[Node] = []
        if end == "else":
            follower = self._skip_space()
            if follower.kind == word.kind and word.kind in ("if", "with"):
                self._next += 1
                otherwise = [self._branch(follower)]
            else:
                self._close("else")
                otherwise, end = self._list()
                if end != "end":
                    raise self._error(f"expected end; found {{{{{end}}}}}")
        del self._variables[kept:]
        return Branch(pipe.at, word.kind, pipe, then, otherwise)

    def _template_name(self, context: str) -> Token:
        self._skip_space()
        token = self._take()
        if token.kind != "string":
            raise self._unexpected(token, context)
        return token

    def _define(self) -> None:
        name = unquote(self._template_name("define clause").text)
        self._close("define clause")
        self._subtree(name)

    def _subtree(self, name: str) -> None:
        variables, loops = self._variables, self._loops
        self._variables, self._loops = ["$"], 0
        body, end = self._list()
        if end != "end":
            raise self._error("unexpected {{else}} in define clause")
        self._variables, self._loops = variables, loops
        self.trees[name] = body

    def _block(self, word: Token) -> Call:
        name = self._template_name("block clause")
        pipe = self._pipeline("block clause", "}}")
        self._subtree(unquote(name.text))
        return Call(word.at, unquote(name.text), name.text, pipe)

    def _call(self, word: Token) -> Call:
        name = self._template_name("template clause")
        pipe = None
        if self._skip_space().kind == "}}":
            self._next += 1
        else:
            pipe = self._pipeline("template clause", "}}")
        return Call(name.at, unquote(name.text), name.text, pipe)

    # Pipelines

    def _pipeline(self, context: str, end: str) -> Pipeline:
        start = self._skip_space()
        variables, assigns = self._declarations(context)
        commands: list[Command] = []
        while True:
            token = self._skip_space()
            if token.kind == end:
                self._next += 1
                self._check(commands, context)
                return Pipeline(start.at, variables, assigns, commands)
            if token.kind not in OPERANDS:
                raise self._unexpected(token, context)
            commands.append(self._command())

    def _check(self, commands: list[Command], context: str) -> None:
        if not commands:
            raise self._error(f"missing value for {context}")
        for number, command in enumerate(commands[1:], 2):
            if isinstance(command.words[0], Literal | Dot | Nil):
                raise self._error(f"non executable command in pipeline stage {number}")

    def _declarations(self, context: str) -> tuple[list[str], bool]:
        start = self._next
        names: list[str] = []
        while self._peek().kind == "variable":
            names.append(self._take().text)
            sign = self._skip_space()
            if sign.kind in (":=", "="):
                self._next += 1
                if sign.kind == ":=":
                    self._variables.extend(names)
                self._skip_space()
                return names, sign.kind == "="
            if sign.kind == "," and context == "range" and len(names) < 2:
                self._next += 1
                self._skip_space()
                continue
            break
        self._next = start
        return [], False

    def _command(self) -> Command:
        words: list[Node] = []
        start = self._peek().at
        while True:
            self._skip_space()
            words.append(self._operand())
            token = self._peek()
            if token.kind == "space":
                follower = self._skip_space()
                if follower.kind in OPERANDS:
                    continue
                token = follower
            if token.kind == "pipe":
                self._next += 1
                if self._skip_space().kind not in OPERANDS:
                    raise self._error("missing value for command")
            elif token.kind not in ("}}", ")"):
                raise self._unexpected(token, "operand")
            return Command(start, words)

    def _operand(self) -> Node:
        token = self._take()
        node = self._term(token)
        names: list[str] = []
        at = token.at
        while self._peek().kind == "field":
            if not names:
                at = self._peek().at
            names.append(self._take().text[1:])
        if not names:
            return node
        if isinstance(node, Fields) and node.base is None:
            return Fields(at, None, node.names + names)
        if isinstance(node, Literal | Dot | Nil):
            raise self._error(f'unexpected ".{names[0]}" after term "{node}"')
        return Fields(at, node, names)

    def _term(self, token: Token) -> Node:
        match token.kind:
            case "name":
                if token.text not in self._functions:
                    raise self._error(f'function "{token.text}" not defined')
                return Name(token.at, token.text)
            case "dot":
                return Dot(token.at)
            case "nil":
                return Nil(token.at)
            case "variable":
                if token.text not in self._variables:
                    raise self._error(f'undefined variable "{token.text}"')
                return Variable(token.at, token.text)
            case "field":
                return Fields(token.at, None, [token.text[1:]])
            case "bool":
                return Literal(token.at, token.text, token.text == "true")
            case "(":
                self._depth += 1
                if self._depth > DEEPEST:
                    raise self._error("template nested too deeply")
                inner = self._pipeline("parenthesized pipeline", ")")
                self._depth -= 1
                return inner
            case _:
                return self._constant(token)

    def _constant(self, token: Token) -> Literal:
        try:
            match token.kind:
                case "string":
                    return Literal(token.at, token.text, unquote(token.text))
                case "char":
                    return Literal(token.at, token.text, ord(unquote(token.text)))
                case "number":
                    return Literal(token.at, token.text, number(token.text))
        except (ValueError, TypeError, IndexError):
            what = {"number": "bad number syntax", "char": "malformed character constant"}
            message = what.get(token.kind, "invalid syntax")
            quoted = f': "{token.text}"' if token.kind == "number" else f": {token.text}"
            raise self._error(message + (quoted if token.kind != "string" else "")) from None
        raise self._unexpected(token, "operand")


def number(text: str) -> int | float:
    """Read a number as Go writes it: decimal, 0x, 0o, 0b, an old octal, or floating."""
    try:
        if (
            len(text.lstrip("+-")) > 1
            and text.lstrip("+-").isdecimal()
            and text.lstrip("+-")[0] == "0"
        ):
            return int(text, 8)
        return int(text, 0)
    except ValueError:
        value = float(text)
        return int(value) if value.is_integer() and abs(value) < 1 << 63 else value
