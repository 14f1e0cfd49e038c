"""Dockerfile text becomes nodes: one for each instruction, its words not yet understood.

    # directive=value     only before anything else
    # comment             dropped, also between continued lines
    NAME [--flag[=value]]... arguments \\
        continued
    NAME ... <<WORD       its document: the lines up to WORD
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec

from boxship.build.dockerfile.directives import DirectiveReader
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.heredoc import Heredoc, heredocs_in
from boxship.build.dockerfile.shell import SPACES
from boxship.build.dockerfile.words import (
    LINE_WORDS,
    key_values,
    split_command,
    split_spaces,
    split_words,
)
from boxship.build.ops import Place

SIZE_LIMIT: Final = 1 << 20
MOST: Final = 5_000  # instructions
MOST_DOCUMENTS: Final = 1_000
MOST_WORDS: Final = 50_000
LINE_LIMIT: Final = 64 * 1024 - 1
BOM: Final = "\ufeff"
DOCUMENTED: Final = frozenset({"add", "copy", "run"})  # instructions that take documents
NOT_STRINGS: Final = "when using JSON array syntax, arrays must be comprised of strings only"


@dataclass(frozen=True, slots=True)
class Node:
    """One instruction as it is written.

    name: as written. args: its words; of ENV and LABEL, key, value and separator in turn.
    is_json: the words came as a JSON array. original: the whole line, continuations joined.
    sub: the instruction that an ONBUILD holds.
    """

    name: str
    original: str
    place: Place
    args: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    is_json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    comments: tuple[str, ...] = ()
    sub: Node | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A whole file. empty_continuations: the lines where they end, with the text they are in."""

    nodes: tuple[Node, ...]
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)
    empty_continuations: tuple[tuple[Place, str], ...] = ()


def decode(data: bytes) -> str:
    """Return the text; bytes that are no UTF-8 are kept for the documents they are in."""
    if len(data) > SIZE_LIMIT:
        raise DockerfileError(f"the Dockerfile is larger than {SIZE_LIMIT} bytes")
    return data.decode("utf-8", "surrogateescape")


def parse(text: str) -> Parsed:
    """Read a Dockerfile, or raise DockerfileError with the lines that are wrong."""
    if not text:
        raise DockerfileError("the Dockerfile cannot be empty")
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self.lines = _lines(text)
        self.number = 0
        self.directives = DirectiveReader()
        self.comments: list[str] = []
        self.nodes: list[Node] = []
        self.empty: list[tuple[Place, str]] = []
        self.words = 0
        self.documents = 0

    def parse(self) -> Parsed:
        while (raw := next(self.lines, None)) is not None:
            self.number += 1
            self.instruction(raw)
            if len(self.nodes) > MOST:
                place = Place(self.number, self.number)
                raise DockerfileError(f"there are more than {MOST} instructions", [place])
        if not self.nodes:
            raise DockerfileError("file with no instructions", [Place(self.number, self.number)])
        return Parsed(
            tuple(self.nodes), self.directives.escape, self.directives.found, tuple(self.empty)
        )

    def instruction(self, raw: str) -> None:
        start = self.number
        line = raw.rstrip("\r\n").lstrip(SPACES)
        is_directive = self.directives.feed(line, start)
        if line.startswith("#"):
            if not is_directive:
                self.remember(line[1:].strip(SPACES))
            return
        text, more = self.continuation(line)
        if not text and not more:
            return
        pieces = [text]
        gaps = False
        while more and (raw_more := next(self.lines, None)) is not None:
            self.number += 1
            line = raw_more.rstrip("\r\n")
            stripped = line.lstrip(SPACES)
            if stripped.startswith("#"):
                continue
            if not stripped:
                gaps = True
                continue
            text, more = self.continuation(line)
            pieces.append(text)
        whole = _clean("".join(pieces))
        if gaps:
            self.empty.append((Place(self.number, self.number), whole))
        try:
            self.add(whole, start)
        except DockerfileError as error:
            raise error.at(Place(start, self.number)) from None

    def remember(self, comment: str) -> None:
        if comment:
            self.comments.append(_clean(comment))
        else:
            self.comments.clear()

    def continuation(self, line: str) -> tuple[str, bool]:
        """Return the line without the escape character that joins it to the next."""
        stripped = line.rstrip(" \t")
        if not stripped.endswith(self.directives.escape):
            return line, False
        if len(stripped) > 1 and stripped[-2] == stripped[-1]:
            return line, False  # the last one is escaped itself
        return stripped[:-1], True

    def add(self, line: str, start: int) -> None:
        node = _node(line, self.directives.escape, Place(start, self.number))
        holder = node.sub or node
        self.words += len(holder.args) + len(holder.flags)
        if self.words > MOST_WORDS:
            raise DockerfileError(f"there are more than {MOST_WORDS} words to tell apart")
        documents: list[Heredoc] = []
        if "<<" in line and holder.name.lower() in DOCUMENTED and not holder.is_json:
            for document in heredocs_in(line):
                documents.append(self.document(document))
                self.documents += 1
                if self.documents > MOST_DOCUMENTS:
                    raise DockerfileError(f"there are more than {MOST_DOCUMENTS} documents")
        place = Place(start, self.number)
        self.nodes.append(
            replace(node, place=place, heredocs=tuple(documents), comments=tuple(self.comments))
        )
        self.comments.clear()

    def document(self, heredoc: Heredoc) -> Heredoc:
        content: list[str] = []
        for raw in self.lines:
            self.number += 1
            end = raw.rstrip("\r\n")
            if (end.lstrip("\t") if heredoc.chomp else end) == heredoc.name:
                return heredoc.with_content("".join(content))
            content.append(raw)
        raise DockerfileError("unterminated heredoc")


def _lines(text: str) -> Iterator[str]:
    text = text.removeprefix(BOM)
    at, end = 0, len(text)
    while at < end:
        following = text.find("\n", at) + 1 or end
        if following - at > LINE_LIMIT:
            raise DockerfileError(f"dockerfile line greater than max allowed size of {LINE_LIMIT}")
        yield text[at:following]
        at = following


def _clean(text: str) -> str:
    """Return the text with a mark in place of each byte that is no UTF-8."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _node(line: str, escape: str, place: Place, *, nested: bool = False) -> Node:
    name, flags, rest = split_command(line)
    kind = name.lower()
    args: tuple[str, ...] = ()
    is_json = False
    sub = None
    match kind:
        case "cmd" | "entrypoint" | "run" | "shell":
            args, is_json = _maybe_json(rest)
        case "add" | "copy" | "volume":
            args, is_json = _maybe_json(rest)
            if not is_json:
                args = split_spaces(rest)
        case "expose" | "from":
            args = split_spaces(rest)
        case "env" | "label":
            args = key_values(rest, kind.upper(), escape)
        case "arg":
            args = tuple(split_words(rest, escape))
        case "maintainer" | "stopsignal" | "user" | "workdir":
            args = (rest,) if rest else ()
        case "healthcheck":
            args, is_json = _healthcheck(rest)
        case "onbuild" if rest and not nested:
            sub = _node(rest, escape, place, nested=True)
            args = (sub.name, *sub.args)
        case "onbuild" if rest:
            args = ("onbuild",)
    return Node(name, line, place, args, tuple(flags), is_json, (), (), sub)


def _maybe_json(rest: str) -> tuple[tuple[str, ...], bool]:
    """Read the exec form, and where it is none, the whole as one word."""
    if not rest:
        return (), False
    if rest.lstrip(SPACES).startswith("["):
        if rest.count('"') > 4 * LINE_WORDS:
            raise DockerfileError(f"there are more than {LINE_WORDS} words in one line")
        try:
            words = msgspec.json.decode(rest.strip(SPACES))
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return (rest,), False
        if not isinstance(words, list):
            return (rest,), False
        if not all(isinstance(word, str) for word in words):
            raise DockerfileError(NOT_STRINGS)
        return tuple(words), True
    return (rest,), False


def _healthcheck(rest: str) -> tuple[tuple[str, ...], bool]:
    parts = rest.split(None, 1)
    if not parts:
        return (), False
    words, is_json = _maybe_json(parts[1]) if len(parts) > 1 else ((), False)
    return (parts[0], *words), is_json


def render(parsed: Parsed) -> str:
    """Write nodes as a Dockerfile that reads as the same nodes."""
    out: list[str] = []
    if parsed.escape != "\\":
        out.append(f"# escape={parsed.escape}\n")
    for node in parsed.nodes:
        out.append(node.original + "\n")
        for heredoc in node.heredocs:
            out.append(heredoc.content + heredoc.name + "\n")
    return "".join(out)
