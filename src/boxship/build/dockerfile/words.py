"""How a line is cut into words before any variable is known."""

from __future__ import annotations

import re
from typing import Final

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.shell import SPACE, SPACES, quoted

LINE_WORDS: Final = 20_000  # words of one line
BLANKS: Final = re.compile(r"[\t\v\f\r ]+")


def split_spaces(rest: str) -> tuple[str, ...]:
    """Cut at blanks, whatever the quotes."""
    return tuple(_few(BLANKS.split(rest, maxsplit=LINE_WORDS))) if rest else ()


def _few(words: list[str]) -> list[str]:
    if len(words) > LINE_WORDS:
        raise DockerfileError(f"there are more than {LINE_WORDS} words in one line")
    return words


def split_command(line: str) -> tuple[str, list[str], str]:
    """Return an instruction's name, its flags and the rest of its line."""
    name, *rest = BLANKS.split(line.strip(SPACES), maxsplit=1)
    if not rest:
        return name, [], ""
    if not rest[0].lstrip(SPACES).startswith("--"):
        return name, [], rest[0].strip(SPACES)
    flags, end = _flags(rest[0])
    return name, flags, rest[0][end:].strip(SPACES)


def _flags(line: str) -> tuple[list[str], int]:
    """Read the words that begin with `--`, up to the first that does not, or to `--` alone."""
    flags: list[str] = []
    at = 0
    while True:
        while at < len(line) and line[at] in SPACE:
            at += 1
        if not line.startswith("--", at):
            return flags, at
        word, at, was_quoted = _flag(line, at)
        if word == "--":
            return flags, at
        if word or was_quoted:
            flags.append(word)
            _few(flags)


def _flag(line: str, at: int) -> tuple[str, int, bool]:
    out: list[str] = []
    quote, was_quoted = "", False
    while at < len(line):
        char = line[at]
        if not quote and char in SPACE:
            break
        at += 1
        if quote and char == quote:
            quote = ""
        elif not quote and char in ("'", '"'):
            quote, was_quoted = char, True
        elif char != "\\":
            out.append(char)
        elif at < len(line):
            out.append(line[at])
            at += 1
    return "".join(out), at, was_quoted


def split_words(rest: str, escape: str) -> list[str]:
    """Cut at spaces that are not quoted; quotes and escape characters stay in the words."""
    if not (escape in rest or "'" in rest or '"' in rest):
        return _few(rest.split(None, LINE_WORDS))
    words: list[str] = []
    part: list[str] = []
    quote = ""
    inside = False
    at = 0
    while at < len(rest):
        char = rest[at]
        at += 1
        if not quote and char in SPACE:
            if inside:
                words.append("".join(part))
                _few(words)
                part.clear()
                inside = False
            continue
        if char == escape and quote != "'":
            if at == len(rest):
                break  # one at the very end means nothing
            part += (char, rest[at])
            at += 1
            inside = True
            continue
        if quote and char == quote:
            quote = ""
        elif not quote and char in ("'", '"'):
            quote = char
        part.append(char)
        inside = True
    if inside:
        words.append("".join(part))
    return _few(words)


def key_values(rest: str, instruction: str, escape: str) -> tuple[str, ...]:
    """Read `KEY=VALUE ...` or `KEY VALUE`; three words for each: key, value and separator."""
    words = split_words(rest, escape)
    if not words:
        return ()
    if "=" not in words[0]:
        parts = BLANKS.split(rest, maxsplit=1)
        if len(parts) < 2:
            raise DockerfileError(f"{instruction} must have two arguments")
        return (parts[0], parts[1], "")
    out: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(
                f"Syntax error - can't find = in {quoted(word)}. Must be of the form: name=value"
            )
        out += (key, value, "=")
    return tuple(out)
