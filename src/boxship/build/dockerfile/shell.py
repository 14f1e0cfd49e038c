"""Variables and quotes in a Dockerfile's words, as BuildKit's shell lexer has them.

$NAME ${NAME}                    the value, empty when unset
${NAME:-word} ${NAME-word}       the value, or the word when unset (or, with `:`, empty)
${NAME:+word} ${NAME+word}       the word, when set (and not empty)
${NAME:?word} ${NAME?word}       the value, or an error with the word
${NAME#pat} ${NAME##pat}         the value without the shortest, longest prefix that matches
${NAME%pat} ${NAME%%pat}         the same with suffixes
${NAME/pat/word} ${NAME//pat/word}   the first, every match replaced
'as it is'  "with $variables"    quotes, dropped; a backslash (or what `# escape=` says)
                                 takes the meaning from the next character
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, NoReturn

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.wildcards import InvalidWildcard, Wildcard

LIMIT: Final = 4 << 20  # characters that one word may become
DEPTH: Final = 100  # substitutions within substitutions
END: Final = ""
SPECIAL: Final = frozenset("@*#?-$!0")
SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
SPACE: Final = frozenset(SPACES)
GO_TEMPLATE: Final = re.compile(r"\$(?:(\$)|[0-9A-Za-z_]+|\{[0-9A-Za-z_]+\})")


@dataclass(slots=True)
class Expanded:
    """What a word became, and which names were looked up on the way."""

    text: str = ""
    words: list[str] = field(default_factory=list)
    matched: set[str] = field(default_factory=set)
    unmatched: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Lexer:
    """How words are read.

    raw_quotes: quotes stay. raw_escapes: escape characters stay. skip_quotes: quotes mean
    nothing. skip_unset: a variable that is not set stays as it was written.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    skip_quotes: bool = False
    skip_unset: bool = False

    def expand(self, word: str, env: Mapping[str, str]) -> Expanded:
        """Return the word with its variables and without its quotes."""
        if not (self.escape in word or "$" in word or "'" in word or '"' in word):
            return Expanded(word, word.split())
        reader = _Reader(self, word, env)
        try:
            text, words = reader.until(END, self.raw_escapes)
        except DockerfileError as error:
            raise DockerfileError(f"failed to process {quoted(word)}: {error}") from None
        return Expanded(text, words, reader.matched, reader.unmatched)

    def word(self, word: str, env: Mapping[str, str]) -> str:
        """Return only what the word became."""
        return self.expand(word, env).text


def quoted(text: str) -> str:
    """Return the text as Go's %q writes it."""
    out = ['"']
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif char in ESCAPES:
            out.append(ESCAPES[char])
        elif code < 0x20 or code == 0x7F:
            out.append(f"\\x{code:02x}")
        elif not char.isprintable():
            out.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
        else:
            out.append(char)
    return "".join(out) + '"'


ESCAPES: Final = {
    "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v",
}  # fmt: skip


class _Words:
    """Collects words: spaces part them, but not those that were quoted."""

    __slots__ = ("inside", "part", "words")

    def __init__(self) -> None:
        self.words: list[str] = []
        self.part: list[str] = []
        self.inside = False

    def add(self, text: str) -> None:
        for char in text:
            if char not in SPACE:
                self.part.append(char)
                self.inside = True
            elif self.inside and (word := "".join(self.part)):
                self.words.append(word)
                self.part.clear()
                self.inside = False

    def add_raw(self, text: str) -> None:
        self.part.append(text)
        self.inside = True

    def done(self) -> list[str]:
        if word := "".join(self.part):
            self.words.append(word)
        return self.words


class _Reader:
    """One pass over one word."""

    def __init__(self, lexer: Lexer, text: str, env: Mapping[str, str]) -> None:
        self.lexer = lexer
        self.text = text
        self.env = env
        self.at = 0
        self.depth = 0
        self.made = 0
        self.raw_escapes = lexer.raw_escapes
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()
        self.special: dict[str, Callable[[], str]] = {"$": self.dollar}
        if not lexer.skip_quotes:
            self.special |= {"'": self.single, '"': self.double}

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else END

    def next(self) -> str:
        char = self.peek()
        self.at += 1
        return char

    def until(self, stop: str, raw_escapes: bool) -> tuple[str, list[str]]:
        """Read up to the character that stops (or the end), which is taken too."""
        if self.depth >= DEPTH:
            raise DockerfileError("syntax error: substitutions within substitutions, too deep")
        before, self.raw_escapes = self.raw_escapes, raw_escapes
        self.depth += 1
        out: list[str] = []
        words = _Words()
        escape = self.lexer.escape
        while (char := self.peek()) != END:
            if char == stop:
                self.at += 1
                break
            if read := self.special.get(char):
                piece = read()
                out.append(piece)
                if char == "$":
                    words.add(piece)
                else:
                    words.add_raw(piece)
                continue
            self.at += 1
            if char != escape:
                words.add(char)
                out.append(char)
                continue
            if self.raw_escapes:
                words.add_raw(char)
                out.append(char)
            if (char := self.next()) == END:
                break
            words.add_raw(char)
            out.append(char)
        else:
            if stop != END:
                self.fail(f"unexpected end of statement while looking for matching {stop}")
        if stop != END and self.at > len(self.text):
            self.fail(f"unexpected end of statement while looking for matching {stop}")
        self.depth -= 1
        self.raw_escapes = before
        return "".join(out), words.done()

    def fail(self, message: str) -> NoReturn:
        raise DockerfileError(message)

    def single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            self.fail("unexpected end of statement while looking for matching single-quote")
        inner = self.text[self.at : end + 1]
        self.at = end + 1
        return inner if self.lexer.raw_quotes else inner[1:-1]

    def double(self) -> str:
        out: list[str] = []
        quote = '"' if self.lexer.raw_quotes else ""
        self.at += 1
        while (char := self.peek()) != '"':
            if char == END:
                self.fail("unexpected end of statement while looking for matching double-quote")
            if char == "$":
                out.append(self.dollar())
                continue
            self.at += 1
            if char == self.lexer.escape:
                if self.raw_escapes:
                    out.append(char)
                if (following := self.peek()) == END:
                    continue
                if following in ('"', "$", char):
                    char = self.next()
            out.append(char)
        self.at += 1
        return quote + "".join(out) + quote

    def dollar(self) -> str:
        self.at += 1
        if self.peek() == "{":
            value = self.braces()
        elif not (name := self.name()):
            return "$"
        else:
            found = self.look_up(name)
            value = found if found is not None else "$" + name if self.lexer.skip_unset else ""
        self.made += len(value)
        if self.made > LIMIT:
            self.fail("the value is too long")
        return value

    def braces(self) -> str:
        self.at += 1
        if (char := self.peek()) == END:
            self.fail("syntax error: missing '}'")
        if char in "{}:":
            self.fail("syntax error: bad substitution")
        name = self.name()
        sign = self.next()
        if sign == "}":
            value = self.look_up(name)
            return ("${" + name + "}" if self.lexer.skip_unset else "") if value is None else value
        if sign == "/":
            return self.replace(name)
        colon = sign == ":"
        if colon:
            sign = self.next()
        elif sign not in "+-?#%" or sign == END:
            self.fail(f"unsupported modifier ({sign}) in substitution")
        written = (":" if colon else "") + sign
        word = self.inner("}", raw=sign in ("#", "%"), missing="syntax error: missing '}'")
        value = self.look_up(name)
        if value is None and self.lexer.skip_unset:
            return "${" + name + written + word + "}"
        return self.modified(name, value, sign, colon, word, written)

    def modified(
        self, name: str, value: str | None, sign: str, colon: bool, word: str, written: str
    ) -> str:
        absent = value is None or (colon and not value)
        match sign:
            case "-":
                return word if absent else value or ""
            case "+":
                return "" if absent else word
            case "?":
                if value is None:
                    self.fail(f"{name}: {word or 'is not allowed to be unset'}")
                if absent:
                    self.fail(f"{name}: {word or 'is not allowed to be empty'}")
                return value
            case "#" | "%":
                longest = word[:1] == sign
                wildcard = self.wildcard(word[1:] if longest else word)
                value = value or ""
                if sign == "#":
                    return value[wildcard.prefix(value, longest) or 0 :]
                cut = wildcard.suffix(value, longest)
                return value if cut is None else value[:cut]
            case _:
                raise DockerfileError(f"unsupported modifier ({written}) in substitution")

    def replace(self, name: str) -> str:
        every = self.peek() == "/"
        self.at += every
        pattern = self.inner("/", raw=True, missing="syntax error: missing '/' in ${}")
        word = self.inner("}", raw=True, missing="syntax error: missing '}'")
        value = self.look_up(name)
        if value is None:
            if self.lexer.skip_unset:
                return "${" + name + "/" + pattern + "/" + word + "}"
            value = ""
        wildcard = self.wildcard(pattern)
        if not every:
            return wildcard.replace(value, word, once=True, limit=LIMIT)
        # every match is replaced by a template of Go's, in which names stand for groups: none
        word = GO_TEMPLATE.sub(lambda found: found[1] or "", word)
        return wildcard.replace(value, word, once=False, limit=LIMIT)

    def inner(self, stop: str, *, raw: bool, missing: str) -> str:
        try:
            return self.until(stop, raw)[0]
        except DockerfileError:
            if self.at >= len(self.text):
                self.fail(missing)
            raise

    def wildcard(self, pattern: str) -> Wildcard:
        try:
            return Wildcard(pattern)
        except InvalidWildcard as error:
            self.fail(f"invalid pattern ({pattern}) in substitution: {error}")

    def name(self) -> str:
        start = self.at
        char = self.peek()
        if char != END and char.isdigit():
            while (char := self.peek()) != END and char.isdigit():
                self.at += 1
        elif char in SPECIAL:
            self.at += 1
        else:
            while (char := self.peek()) != END and (char.isalnum() or char == "_"):
                self.at += 1
        return self.text[start : self.at]

    def look_up(self, name: str) -> str | None:
        value = self.env.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value
