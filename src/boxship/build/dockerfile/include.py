"""INCLUDE, an addition of our own: the instructions of another file of the context.

    # include=on
    FROM busybox
    INCLUDE docker/common.dockerfile

Only where the first lines say so: elsewhere it is an unknown instruction, as it is for Docker. A
path is the context's, without variables; what is included counts as the line that includes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.parse import MOST, Node, Parsed, decode, parse

DIRECTIVE: Final = "include"
ON: Final = frozenset({"on", "true", "1"})
DEPTH: Final = 8

Read = Callable[[str], bytes | None]


def expand(parsed: Parsed, read: Read | None) -> Parsed:
    """Return the file with the files that it includes; `read` gives those of the context."""
    if parsed.directives.get(DIRECTIVE, "").lower() not in ON:
        return parsed
    nodes: list[Node] = []
    for node in _expanded(parsed.nodes, parsed.escape, read, ()):
        nodes.append(node)
        if len(nodes) > MOST:
            raise DockerfileError(f"more than {MOST} instructions are included", [node.place])
    return replace(parsed, nodes=tuple(nodes))


def may_include(data: bytes) -> bool:
    """Whether a file may be one that asks for files to be included: all others need no more."""
    return DIRECTIVE.encode() in data.lower()


def named(data: bytes, *, nested: bool = False) -> list[str]:
    """Return the files that a file includes, for those who must fetch them first.

    Only the first file of all has to ask for it. A file that cannot be read names none: whoever
    expands it will say what is wrong.
    """
    if not may_include(data):
        return []
    try:
        parsed = parse(decode(data))
    except DockerfileError:
        return []
    if not nested and parsed.directives.get(DIRECTIVE, "").lower() not in ON:
        return []
    lines = [node.original.split() for node in parsed.nodes if node.name.lower() == "include"]
    return list(dict.fromkeys(words[1] for words in lines if len(words) == 2))


def _expanded(
    nodes: Sequence[Node], escape: str, read: Read | None, within: tuple[str, ...]
) -> Iterator[Node]:
    for node in nodes:
        if node.name.lower() != "include":
            yield node
            continue
        words = node.original.split()[1:]
        if len(words) != 1:
            raise DockerfileError("INCLUDE requires exactly one argument", [node.place])
        path = words[0]
        if read is None:
            raise DockerfileError("INCLUDE: there is no context to read from", [node.place])
        if path in within or len(within) >= DEPTH:
            chain = " -> ".join((*within, path))
            raise DockerfileError(f"INCLUDE goes round or too deep: {chain}", [node.place])
        data = read(path)
        if data is None:
            raise DockerfileError(f"INCLUDE {path}: no such file in the context", [node.place])
        try:
            found = parse(decode(data))
        except DockerfileError as error:
            raise DockerfileError(f"INCLUDE {path}: {error}", [node.place]) from None
        if found.escape != escape:
            raise DockerfileError(f"INCLUDE {path}: another escape character", [node.place])
        moved = [replace(one, place=node.place) for one in found.nodes]
        yield from _expanded(moved, escape, read, (*within, path))
