"""What says that a vertex's result may be used again.

    identity(vertex)    what it does and on what content: under this its results are recorded
    key(vertex)         what it does and on what identities; leads to the identity found last time

They differ where only the content of an input matters and not where it came from: the files
that a copy takes, and what a process sees through a read-only mount.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from boxship.build import ops
from boxship.build.digests import Digests, joined
from boxship.build.errors import NoSuchFile, NotInInput
from boxship.build.filesystems import Value
from boxship.build.ops import NO_OUTPUT, SCRATCH, Bind, Copy, Exec, Files, Vertex
from boxship.spec.digest import Digest

MOST: Final = 4000  # vertices whose meaning is remembered
REF: Final = 25  # letters that an input goes by in messages


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a vertex does, less what its result does not depend on, and what it takes.

    taken: the inputs of which only the content matters, with what is taken of them.
    """

    said: str
    taken: Mapping[int, Sequence[Copy | Bind]]


class Meanings:
    """What the vertices of the last builds mean; belongs to one event loop."""

    def __init__(self) -> None:
        self._known: dict[Digest, Meaning] = {}

    def of(self, vertex: Vertex) -> Meaning:
        """Return what a vertex means."""
        known = self._known.get(vertex.digest)
        if known is None:
            if len(self._known) >= MOST:
                self._known.clear()
            known = self._known[vertex.digest] = meaning(vertex)
        return known


def meaning(vertex: Vertex) -> Meaning:
    """Work out what a vertex means."""
    return Meaning(_said(vertex), _by_content(vertex))


def _said(vertex: Vertex) -> str:
    op = vertex.op
    if isinstance(op, Exec):
        op = replace(op, proxies=())
    kinds: list[object] = []
    if isinstance(op, Exec):
        kinds = [type(mount).__name__ for mount in op.mounts]
    elif isinstance(op, Files):
        kinds = [type(action.does).__name__ for action in op.actions]
    data = msgspec.msgpack.encode((type(op).__name__, op, kinds, str(vertex.platform or "")))
    return joined("op", [data.hex()])


def key(meant: Meaning, inputs: Sequence[str]) -> str:
    """Return the key of a vertex whose inputs have these identities."""
    return joined("key", [meant.said, *inputs])


def outputs(vertex: Vertex) -> frozenset[int]:
    """Return the numbers of a vertex's results."""
    op = vertex.op
    if isinstance(op, Exec):
        numbers = [getattr(mount, "output", NO_OUTPUT) for mount in op.mounts]
        return frozenset(number for number in numbers if number != NO_OUTPUT)
    if isinstance(op, Files):
        return frozenset(a.output for a in op.actions if a.output != NO_OUTPUT)
    return frozenset({0})


def _by_content(vertex: Vertex) -> dict[int, list[Copy | Bind]]:
    op, found, whole = vertex.op, dict[int, list[Copy | Bind]](), set[int]()
    if isinstance(op, Files):
        count = len(vertex.inputs)
        for action in op.actions:
            if 0 <= action.input < count:
                whole.add(action.input)
            if isinstance(action.does, Copy) and 0 <= action.second < count:
                found.setdefault(action.second, []).append(action.does)
            elif 0 <= action.second < count:
                whole.add(action.second)
            owner = getattr(action.does, "owner", None)
            if owner is not None and 0 <= owner.names < count:
                whole.add(owner.names)
    elif isinstance(op, Exec):
        for mount in op.mounts:
            if isinstance(mount, ops.Bind) and mount.input != SCRATCH:
                if mount.readonly and mount.output == NO_OUTPUT and mount.target != "/":
                    found.setdefault(mount.input, []).append(mount)
                else:
                    whole.add(mount.input)
            elif isinstance(mount, ops.Cache) and mount.input != SCRATCH:
                whole.add(mount.input)
    return {number: taken for number, taken in found.items() if number not in whole}


def identity(
    meant: Meaning, inputs: Sequence[str], values: Mapping[int, Value], digests: Digests
) -> str:
    """Return the identity of a vertex; looks at files, so it blocks."""
    return joined("content", [meant.said, *_parts(inputs, meant.taken, values, digests)])


def _parts(
    inputs: Sequence[str],
    taken: Mapping[int, Sequence[Copy | Bind]],
    values: Mapping[int, Value],
    digests: Digests,
) -> Iterator[str]:
    for number, one in enumerate(inputs):
        if number not in taken:
            yield one
            continue
        for what in taken[number]:
            try:
                if isinstance(what, Copy):
                    yield digests.of_copy(values[number], what)
                else:
                    yield digests.of_mount(values[number], what)
            except NoSuchFile as failure:
                raise NotInInput(failure.path, joined("ref", [one])[:REF]) from None
