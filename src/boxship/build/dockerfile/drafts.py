"""Vertices before they are final.

What is read of the build context is known only when the last instruction has been seen, and it
is part of the context's own vertex, on which others stand. So drafts are made first, and only
those that the result stands on become vertices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from boxship.build.ops import About, Op, Ref, Vertex
from boxship.spec.platform import Platform

NOTHING: Final = About()


@dataclass(eq=False, slots=True)
class Draft:
    """A vertex to be; `made` once it is one."""

    op: Op
    inputs: Sequence[DraftRef] = ()
    platform: Platform | None = None
    about: About = NOTHING
    made: Vertex | None = None

    @classmethod
    def of(cls, vertex: Vertex) -> Draft:
        """Return a vertex made elsewhere as one that drafts can stand on."""
        return cls(vertex.op, platform=vertex.platform, about=vertex.about, made=vertex)


@dataclass(frozen=True, slots=True)
class DraftRef:
    """One result of a draft."""

    draft: Draft
    output: int = 0


class Inputs:
    """The inputs of one draft, each once, by number."""

    def __init__(self) -> None:
        self.refs: list[DraftRef] = []

    def number(self, ref: DraftRef | None) -> int:
        """Return an input's number; -1 is the empty filesystem."""
        if ref is None:
            return -1
        for index, known in enumerate(self.refs):
            if known.draft is ref.draft and known.output == ref.output:
                return index
        self.refs.append(ref)
        return len(self.refs) - 1


def make(result: DraftRef | None) -> Ref | None:
    """Make a draft and all that it stands on; without recursion, as chains may be long."""
    if result is None:
        return None
    waiting = [result.draft]
    while waiting:
        draft = waiting[-1]
        if draft.made is not None:
            waiting.pop()
            continue
        missing = [ref.draft for ref in draft.inputs if ref.draft.made is None]
        if missing:
            waiting += missing
            continue
        draft.made = Vertex(
            draft.op, tuple(_final(ref) for ref in draft.inputs), draft.platform, draft.about
        )
        waiting.pop()
    return _final(result)


def _final(ref: DraftRef) -> Ref:
    assert ref.draft.made is not None
    return Ref(ref.draft.made, ref.output)
