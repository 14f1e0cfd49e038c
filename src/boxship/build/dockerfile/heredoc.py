"""Documents within a Dockerfile: `<<WORD`, `<<-WORD`, `<<"WORD"`, `3<<WORD`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.shell import Lexer

WORD: Final = re.compile(r"(\d*)<<(-?)([^<]*)", re.ASCII)
LEADING_TABS: Final = re.compile(r"^\t+", re.MULTILINE)
PLAIN: Final = Lexer(skip_unset=True)
RAW: Final = Lexer(skip_unset=True, raw_quotes=True)
LINE: Final = Lexer(skip_unset=True, raw_quotes=True, raw_escapes=True)


@dataclass(frozen=True, slots=True)
class Heredoc:
    """A document; `expand` unless its word was quoted, `chomp` to cut leading tabs."""

    name: str
    expand: bool = True
    chomp: bool = False
    descriptor: int = 0
    content: str = ""

    def with_content(self, content: str) -> Heredoc:
        """Return it with its lines."""
        return replace(self, content=content)

    @property
    def raw(self) -> str:
        """The lines as they are written; bytes that are no UTF-8 are marked."""
        return self.content.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    @property
    def command(self) -> str:
        """The lines as a shell is given them; bytes that are no UTF-8 are marked."""
        return self.text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    @property
    def text(self) -> str:
        """The lines, without leading tabs where they are to be cut."""
        return LEADING_TABS.sub("", self.content) if self.chomp else self.content


def heredoc_of(word: str) -> Heredoc | None:
    """Read one word; None where it begins no document."""
    if "<<" not in word or not (found := WORD.fullmatch(word)) or not found[3]:
        return None
    words = PLAIN.expand(found[3], {}, words=True).words
    if len(words) != 1:
        return None
    raw = RAW.expand(found[3], {}, words=True).words
    if len(raw) != 1:
        raise DockerfileError(
            f"internal lexing of heredoc produced inconsistent results: {found[3]}"
        )
    is_quoted = _quotes(raw[0]) != _quotes(words[0])
    return Heredoc(words[0], not is_quoted, bool(found[2]), int(found[1][:9] or 0))


def heredoc_or_none(word: str) -> Heredoc | None:
    """Read one word; one that is wrongly quoted begins no document."""
    try:
        return heredoc_of(word)
    except DockerfileError:
        return None


def heredocs_in(line: str) -> list[Heredoc]:
    """Return the documents that a line begins, in order."""
    try:
        words = LINE.expand(line, {}, words=True).words
    except DockerfileError:
        return []  # it is the shell that will say what is wrong with its quotes
    return [found for word in words if (found := heredoc_of(word))]


def _quotes(word: str) -> int:
    return word.count("'") + word.count('"')
