"""A template's text as tokens.

Outside of `{{` and `}}` all is text. Inside, spaces separate arguments and are tokens themselves,
because `.A.B` and `.A .B` differ.
"""

from __future__ import annotations

from boxship.lib.templates.errors import ParseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

SPACES = " \t\r\n"
KEYWORDS = frozenset(
    (
        "block",
        "break",
        "continue",
        "define",
        "else",
        "end",
        "if",
        "nil",
        "range",
        "template",
        "with",
    )
)
PUNCTUATION = {"|": "pipe", "(": "(", ")": ")", ",": ",", "=": "="}
# What may follow a name, a field, a variable or a number.
TERMINATORS = SPACES + ".,|:=()"
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
LONGEST = 1 << 20


class Token:
    """One word of a template: its kind, its source text and where it begins."""

    __slots__ = ("at", "kind", "text")

    def __init__(self, kind: str, text: str, at: int) -> None:
        self.kind = kind
        self.text = text
        self.at = at


def parse_error(name: str, source: str, at: int, message: str) -> ParseError:
    """Return an error that names the line as Go does."""
    line = 1 + source.count("\n", 0, at)
    return ParseError(f"template: {name}:{line}: {message}")


def tokens(name: str, source: str) -> Iterator[Token]:
    """Yield the tokens of a template, the last of kind `eof`."""
    if len(source) > LONGEST:
        raise parse_error(name, source, 0, "template too long")
    at = 0
    trim = False
    while True:
        opening = source.find("{{", at)
        text = source[at:] if opening < 0 else source[at:opening]
        start = at
        if trim:
            stripped = text.lstrip(SPACES)
            start += len(text) - len(stripped)
            text = stripped
        if opening < 0:
            if text:
                yield Token("text", text, start)
            yield Token("eof", "", len(source))
            return
        at = opening + 2
        if source[at : at + 1] == "-" and source[at + 1 : at + 2] in tuple(SPACES):
            text = text.rstrip(SPACES)
            at += 1
        if text:
            yield Token("text", text, start)
        inside = at
        while source[inside : inside + 1] in tuple(SPACES):
            inside += 1
        if source.startswith("/*", inside):
            at, trim = _comment(name, source, inside)
            continue
        yield Token("{{", "{{", opening)
        at, trim = yield from _action(name, source, at)


def _comment(name: str, source: str, at: int) -> tuple[int, bool]:
    end = source.find("*/", at)
    if end < 0:
        raise parse_error(name, source, at, "unclosed comment")
    end += 2
    while source[end : end + 1] in tuple(SPACES):
        end += 1
    if source.startswith("-}}", end):
        return end + 3, True
    if not source.startswith("}}", end):
        raise parse_error(name, source, at, "comment ends before closing delimiter")
    return end + 2, False


def _action(name: str, source: str, at: int) -> Generator[Token, None, tuple[int, bool]]:
    """Yield the tokens up to and with `}}`; the generator's value is (next, trim)."""
    depth = 0
    size = len(source)
    while True:
        if source.startswith("}}", at):
            if depth:
                raise parse_error(name, source, at, "unclosed left paren")
            yield Token("}}", "}}", at)
            return at + 2, False
        if at >= size:
            raise parse_error(name, source, at, "unclosed action")
        char = source[at]
        if char in SPACES:
            end = at
            while end < size and source[end] in SPACES:
                end += 1
            if source.startswith("-}}", end):
                if depth:
                    raise parse_error(name, source, at, "unclosed left paren")
                yield Token("}}", "}}", end)
                return end + 3, True
            yield Token("space", source[at:end], at)
            at = end
            continue
        if source.startswith(":=", at):
            token = Token(":=", ":=", at)
        elif char in PUNCTUATION:
            depth += (char == "(") - (char == ")")
            if depth < 0:
                raise parse_error(name, source, at, "unexpected right paren")
            token = Token(PUNCTUATION[char], char, at)
        elif char in "\"`'":
            token = _quoted(name, source, at)
        else:
            token = _word(name, source, at)
        yield token
        at += len(token.text)


def _quoted(name: str, source: str, at: int) -> Token:
    quote = source[at]
    end = at + 1
    while True:
        char = source[end : end + 1]
        if char == quote:
            break
        if not char or (char == "\n" and quote != "`"):
            what = {'"': "quoted string", "`": "raw quoted string", "'": "character constant"}
            raise parse_error(name, source, at, f"unterminated {what[quote]}")
        end += 2 if char == "\\" and quote != "`" else 1
    kind = "char" if quote == "'" else "string"
    return Token(kind, source[at : end + 1], at)


def _word(name: str, source: str, at: int) -> Token:
    char = source[at]
    size = len(source)
    end = at + 1
    number = char.isdecimal() or (char in "+-." and source[end : end + 1].isdecimal())
    if number:
        while end < size and (
            source[end].isalnum()
            or source[end] == "_"
            or (source[end] == "." and "." not in source[at:end])
            or (source[end] in "+-" and source[end - 1] in "eEpP")
        ):
            end += 1
        return Token("number", source[at:end], at)
    if not (char in ".$_" or char.isalpha()):
        raise parse_error(
            name, source, at, f"unrecognized character in action: U+{ord(char):04X} {char!r}"
        )
    while end < size and (source[end].isalnum() or source[end] == "_"):
        end += 1
    if end < size and source[end] not in TERMINATORS and not source.startswith("}}", end):
        raise parse_error(
            name, source, at, f"bad character U+{ord(source[end]):04X} {source[end]!r}"
        )
    text = source[at:end]
    match char:
        case "." if end == at + 1:
            kind = "dot"
        case ".":
            kind = "field"
        case "$":
            kind = "variable"
        case _ if text in KEYWORDS:
            kind = text
        case _ if text in ("true", "false"):
            kind = "bool"
        case _:
            kind = "name"
    return Token(kind, text, at)


def unquote(text: str) -> str:
    """Return the value of a quoted string or character; ValueError when an escape is wrong."""
    body = text[1:-1]
    if text[0] == "`" or "\\" not in body:
        return body
    parts: list[str] = []
    at = 0
    while at < len(body):
        char = body[at]
        at += 1
        if char != "\\":
            parts.append(char)
            continue
        char = body[at]
        at += 1
        if char in ESCAPES:
            parts.append(ESCAPES[char])
        elif char in "\\\"'":
            parts.append(char)
        elif char in "xuU":
            length = {"x": 2, "u": 4, "U": 8}[char]
            parts.append(chr(int(body[at : at + length], 16)))
            at += length
        elif char in "01234567":
            parts.append(chr(int(body[at - 1 : at + 2], 8)))
            at += 2
        else:
            raise ValueError("invalid syntax")
    return "".join(parts)
