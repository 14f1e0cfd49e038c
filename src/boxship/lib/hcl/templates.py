"""Text with `${…}` and `%{…}` in it: quoted strings, heredocs, and strings of the JSON form.

A `~` at the edge of a sequence takes away the space on that side of it. A doubled sign stands for
itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from boxship.lib.hcl.nodes import Conditional, For, Literal, Node, Repeated, Template
from boxship.lib.hcl.parser import Parser
from boxship.lib.hcl.source import BadDefinition, Source, Span

ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


@dataclass(frozen=True, slots=True)
class _Text:
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class _Sequence:
    """`${…}` or `%{…}`; `word` is empty, if, else, endif, for or endfor."""

    span: Span
    before: bool  # the space before it goes away
    after: bool
    word: str = ""
    node: Node | None = None
    loop: tuple[str, str] = ("", "")


_Part = _Text | _Sequence


def quoted(parser: Parser) -> Node:
    """Read a string in quotes."""
    start = parser.at
    parser.at += 1
    parts = _parts(parser, parser.end, in_quotes=True)
    return _assembled(parts, parser.span(start))


def heredoc(parser: Parser, opening: re.Match[str]) -> Node:
    """Read a heredoc up to the line with its mark; that line's end is left."""
    start = parser.at
    flush, mark = opening[1] == "-", opening[2]
    closing = re.compile(rf"^[ \t]*{re.escape(mark)}[ \t]*\r?$", re.MULTILINE)
    parser.at = opening.end()
    found = closing.search(parser.source.text, parser.at, parser.end)
    if found is None:
        detail = f'No line with only "{mark}" ends this.'
        raise parser.fail("Unterminated template string", detail, start)
    inner = Parser(parser.source, parser.at, found.start())
    parts = _parts(inner, found.start(), in_quotes=False)
    if flush:
        parts = _flushed(parts)
    parser.at = found.end()
    return _assembled(parts, parser.span(start), string=True)


def template(text: str, name: str = "") -> Node:
    """Read a whole text as a template."""
    parser = Parser(Source(text, name))
    return _assembled(
        _parts(parser, parser.end, in_quotes=False), Span(parser.source, 0, len(text))
    )


# Parts


def _parts(parser: Parser, end: int, *, in_quotes: bool) -> list[_Part]:
    """Read up to `end`, or with quotes past the closing one; a text ends with its line."""
    parts: list[_Part] = []
    source, piece, begun = parser.source.text, "", parser.at

    def close_text() -> None:
        nonlocal piece, begun
        if piece:
            parts.append(_Text(piece, Span(parser.source, begun, parser.at)))
        piece, begun = "", parser.at

    while True:
        if parser.at >= end:
            if in_quotes:
                raise parser.fail("Unterminated template string", "No closing quote.", begun)
            break
        char = source[parser.at]
        if in_quotes and char == '"':
            close_text()
            parser.at += 1
            return parts
        if in_quotes and char == "\n":
            detail = "Quoted strings may not be split over multiple lines."
            raise parser.fail("Invalid multi-line string", detail, begun)
        if in_quotes and char == "\\":
            piece += _escape(parser)
        elif char in "$%" and source.startswith("{", parser.at + 1):
            close_text()
            parts.append(_sequence(parser, char))
            begun = parser.at
        elif char in "$%" and source.startswith(char + "{", parser.at + 1):
            piece += char + "{"
            parser.at += 3
        else:
            piece += char
            parser.at += 1
            if char == "\n":
                close_text()
    close_text()
    return parts


def _escape(parser: Parser) -> str:
    source, at = parser.source.text, parser.at
    kind = source[at + 1 : at + 2]
    digits = {"u": 4, "U": 8}.get(kind, 0)
    parser.at += 2 + digits
    if kind in ESCAPES:
        return ESCAPES[kind]
    said = source[at + 2 : at + 2 + digits]
    try:
        if digits and len(said) == digits:
            return chr(int(said, 16))
    except (ValueError, OverflowError):
        pass
    detail = f'The symbol "{kind}" is not a valid escape sequence selector.'
    raise parser.fail("Invalid escape sequence", detail, at)


def _sequence(parser: Parser, sign: str) -> _Sequence:
    start = parser.at
    parser.at += 2
    before = parser.source.text.startswith("~", parser.at)
    parser.at += before
    with parser.lines(False):
        word, node, loop = "", None, ("", "")
        if sign == "$":
            node = parser.expression()
        else:
            word = parser.name()
            match word:
                case "if":
                    node = parser.expression()
                case "for":
                    *names, node = parser.for_head()
                    loop = (names[0], names[1])
                case "else" | "endif" | "endfor":
                    pass
                case _:
                    detail = f'"{word}" is not a valid template control keyword.'
                    raise parser.fail("Invalid template directive", detail, start)
        after = parser.accept("~")
        parser.expect(
            "}",
            "Extra characters after interpolation expression",
            "Expected a closing brace to end the interpolation expression.",
        )
    return _Sequence(parser.span(start), before, after, word, node, loop)


def _flushed(parts: Sequence[_Part]) -> list[_Part]:
    """Take away the indentation that all lines have in common; blank lines do not count."""
    firsts: list[int] = []
    margins: list[int] = []
    new_line = True
    for number, part in enumerate(parts):
        if new_line:
            if not isinstance(part, _Text):
                margins.append(0)
            elif part.text.strip() or not part.text.endswith("\n"):
                margins.append(len(part.text) - len(part.text.lstrip()))
                firsts.append(number)
        new_line = isinstance(part, _Text) and part.text.endswith("\n")
    margin = min(margins, default=0)
    found = list(parts)
    for number in firsts:
        part = found[number]
        assert isinstance(part, _Text)
        found[number] = replace(part, text=part.text[margin:])
    return found


# Assembling


def _assembled(parts: Sequence[_Part], span: Span, *, string: bool = False) -> Node:
    """Return what the parts mean; a value that stands alone stays what it is."""
    trimmed = _trimmed(parts)
    nodes, rest, closing = _block(trimmed, 0)
    if closing is not None:
        detail = f'There is no "{closing.word}" to be ended here.'
        raise BadDefinition("Unexpected template directive", detail, closing.span)
    assert rest == len(trimmed)
    if len(nodes) == 1 and len(parts) == 1 and not string and not isinstance(parts[0], _Text):
        return nodes[0]
    if all(isinstance(part, _Text) for part in parts):
        return Literal(span, "".join(part.text for part in parts if isinstance(part, _Text)))
    return Template(span, nodes)


def _trimmed(parts: Sequence[_Part]) -> list[_Part]:
    found = list(parts)
    for number, part in enumerate(parts):
        if not isinstance(part, _Sequence):
            continue
        if part.before:
            _trim(found, range(number - 1, -1, -1), str.rstrip)
        if part.after:
            _trim(found, range(number + 1, len(found)), str.lstrip)
    return found


def _trim(parts: list[_Part], places: range, strip: object) -> None:
    """Strip the texts next to a sequence until one is left with something."""
    for place in places:
        part = parts[place]
        if not isinstance(part, _Text):
            return
        text = strip(part.text)  # type: ignore[operator]
        parts[place] = replace(part, text=text)
        if text:
            return


def _block(parts: Sequence[_Part], at: int) -> tuple[list[Node], int, _Sequence | None]:
    """Assemble up to an `else` or an end; return nodes, where that is, and what it is."""
    nodes: list[Node] = []
    while at < len(parts):
        part = parts[at]
        if isinstance(part, _Text):
            nodes.append(Literal(part.span, part.text))
        elif part.word == "":
            assert part.node is not None
            nodes.append(part.node)
        elif part.word == "if":
            node, at = _if(parts, at)
            nodes.append(node)
        elif part.word == "for":
            node, at = _loop(parts, at)
            nodes.append(node)
        else:
            return nodes, at, part
        at += 1
    return nodes, at, None


def _if(parts: Sequence[_Part], at: int) -> tuple[Node, int]:
    opening = parts[at]
    assert isinstance(opening, _Sequence)
    assert opening.node is not None
    yes, at, closing = _block(parts, at + 1)
    no: list[Node] = []
    if closing is not None and closing.word == "else":
        no, at, closing = _block(parts, at + 1)
    if closing is None or closing.word != "endif":
        detail = "Each if directive must be closed with an endif directive."
        raise BadDefinition("Unclosed template directive", detail, opening.span)
    span = opening.span
    return Conditional(span, opening.node, Template(span, yes), Template(span, no)), at


def _loop(parts: Sequence[_Part], at: int) -> tuple[Node, int]:
    opening = parts[at]
    assert isinstance(opening, _Sequence)
    assert opening.node is not None
    inner, at, closing = _block(parts, at + 1)
    if closing is None or closing.word != "endfor":
        detail = "Each for directive must be closed with an endfor directive."
        raise BadDefinition("Unclosed template directive", detail, opening.span)
    key, value = opening.loop
    result = Template(opening.span, inner)
    loop = For(opening.span, key, value, opening.node, None, result, None)
    return Repeated(opening.span, loop), at
