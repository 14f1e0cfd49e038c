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

from boxship.build.dockerfile import limits
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.limits import Allowance
from boxship.build.dockerfile.wildcards import InvalidWildcard, Wildcard

LIMIT: Final = 1 << 20  # characters that one word may become
SHOWN: Final = 1000  # characters of a word that an error tells
DEPTH: Final = 100  # substitutions within substitutions
END: Final = ""
SPECIAL: Final = frozenset("@*#?-$!0")
SPACES: Final = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008"
    "\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
SPACE: Final = frozenset(SPACES)
BLANK: Final = re.compile(f"[{SPACES}]+")
PLAIN: Final = {  # by escape character: what means nothing in any place
    escape: re.compile(rf"""[^$'"/}}{re.escape(escape)}]+""") for escape in ("\\", "`")
}
MATCHED: Final = 16  # what it takes to match a character, in characters written
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
    nothing. skip_unset: a variable that is not set stays as it was written. allowance: what all
    words together may become.
    """

    escape: str = "\\"
    raw_quotes: bool = False
    raw_escapes: bool = False
    skip_quotes: bool = False
    skip_unset: bool = False
    allowance: Allowance | None = None

    def expand(self, word: str, env: Mapping[str, str], *, words: bool = False) -> Expanded:
        """Return the word with its variables and without its quotes; cut if `words` are wanted."""
        if not (self.escape in word or "$" in word or "'" in word or '"' in word):
            return Expanded(word, word.split() if words else [])
        reader = _Reader(self, word, env, _Words() if words else None)
        try:
            text = reader.until(END, self.raw_escapes)
        except DockerfileError as error:
            shown = word if len(word) <= SHOWN else word[:SHOWN] + "…"
            raise DockerfileError(f"failed to process {quoted(shown)}: {error}") from None
        cut = reader.words.done() if reader.words else []
        return Expanded(text, cut, reader.matched, reader.unmatched)

    def word(self, word: str, env: Mapping[str, str]) -> str:
        """Return only what the word became."""
        return self.expand(word, env).text


def single_quoted(text: str) -> str:
    """Return a word of a Dockerfile that is expanded to the text, whatever stands in it."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


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
        first, *others = BLANK.split(text)
        self._more(first)
        for piece in others:
            if self.inside and (word := "".join(self.part)):
                self.words.append(word)
                self.part.clear()
                self.inside = False
            self._more(piece)

    def _more(self, piece: str) -> None:
        if piece:
            self.part.append(piece)
            self.inside = True

    def add_raw(self, text: str) -> None:
        self.part.append(text)
        self.inside = True

    def done(self) -> list[str]:
        if word := "".join(self.part):
            self.words.append(word)
        return self.words


class _Reader:
    """One pass over one word."""

    def __init__(
        self, lexer: Lexer, text: str, env: Mapping[str, str], words: _Words | None
    ) -> None:
        self.lexer = lexer
        self.text = text
        self.env = env
        self.words = words
        self.allowance = lexer.allowance or limits.text()
        self.plain = PLAIN[lexer.escape]
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

    def until(self, stop: str, raw_escapes: bool) -> str:
        """Read up to the character that stops (or the end), which is taken too."""
        if self.depth >= DEPTH:
            raise DockerfileError("syntax error: substitutions within substitutions, too deep")
        before, self.raw_escapes = self.raw_escapes, raw_escapes
        self.depth += 1
        out: list[str] = []
        words = self.words if self.depth == 1 else None
        escape = self.lexer.escape
        while (char := self.peek()) != END:
            if run := self.plain.match(self.text, self.at):
                self.at = run.end()
                out.append(run[0])
                if words:
                    words.add(run[0])
                continue
            if char == stop:
                self.at += 1
                break
            if read := self.special.get(char):
                piece = read()
                out.append(piece)
                if words and char == "$":
                    words.add(piece)
                elif words:
                    words.add_raw(piece)
                continue
            self.at += 1
            if char != escape:
                if words:
                    words.add(char)
                out.append(char)
                continue
            escaped = char if self.raw_escapes else ""
            if (char := self.next()) != END:
                escaped += char
            if words and escaped:
                words.add_raw(escaped)
            out.append(escaped)
            if char == END:
                break
        else:
            if stop != END:
                self.fail(f"unexpected end of statement while looking for matching {stop}")
        if stop != END and self.at > len(self.text):
            self.fail(f"unexpected end of statement while looking for matching {stop}")
        self.depth -= 1
        self.raw_escapes = before
        return "".join(out)

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
            if run := self.plain.match(self.text, self.at):
                self.at = run.end()
                out.append(run[0])
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
        self.allowance.take(len(value))
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
                self.match(word, value)
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
        self.match(pattern, value * 2)  # once to find where matches begin, and once where they end
        if not every:
            return wildcard.replace(value, word, once=True, limit=LIMIT)
        # every match is replaced by a template of Go's, in which names stand for groups: none
        word = GO_TEMPLATE.sub(lambda found: found[1] or "", word)
        return wildcard.replace(value, word, once=False, limit=LIMIT)

    def inner(self, stop: str, *, raw: bool, missing: str) -> str:
        try:
            return self.until(stop, raw)
        except DockerfileError:
            if self.at >= len(self.text):
                self.fail(missing)
            raise

    def match(self, pattern: str, text: str) -> None:
        """Account for a match: all states of a pattern are looked at for each character."""
        self.allowance.take(len(text) * (MATCHED + len(pattern) // 64))

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
