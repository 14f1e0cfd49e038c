"""What a solved result stands on, as a cache that travels tells it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from boxship.build.cache.document import Step
from boxship.build.filesystems import Layers
from boxship.build.inline import KnownStep
from boxship.build.ops import Ref, Source, Vertex, ancestry
from boxship.build.solver import keys
from boxship.build.solver.job import Job
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest

NOWHERE_ELSE: Final = ("local://", "context://")  # folders of one build: no other has their keys


async def steps(roots: Sequence[Ref | None], job: Job, *, fetch: bool) -> list[Step]:
    """Return the steps of some results, inputs first.

    With `fetch`, results that only another cache has are brought here too.
    """
    found: list[Step] = []
    for vertex in ancestry(*roots):
        known, outputs = job.keyed.get(vertex), job.outputs(vertex)
        if isinstance(vertex.op, Source) or known is None:
            continue
        chains = {
            number: value.chain
            for number, value in (outputs or {}).items()
            if isinstance(value, Layers) and value.chain is not None
        }
        wanted = keys.outputs(vertex)
        if outputs is None and fetch and job.remote and job.remote.has(known.identity, wanted):
            name = vertex.about.name
            brought = await job.remote.bring(known.identity, wanted, job.held, name)
            chains = {number: chain for number, chain in brought.items() if chain is not None}
        key = known.key if not any(_is_folder(one) for one in inputs(vertex)) else known.identity
        found.append(Step(key, known.identity, chains))
    return found


def inputs(vertex: Vertex) -> Iterator[Vertex]:
    """Yield what a vertex stands on directly."""
    for ref in vertex.inputs:
        yield ref.vertex


def _is_folder(vertex: Vertex) -> bool:
    return isinstance(vertex.op, Source) and vertex.op.identifier.startswith(NOWHERE_ELSE)


def known_layers(roots: Sequence[Ref | None], job: Job) -> dict[Digest, ChainId | None]:
    """Return the layers of what some results stand on, as far as they are known."""
    found: dict[Digest, ChainId | None] = {}
    for vertex in ancestry(*roots):
        fetched = job.fetched.get(vertex)
        value = (job.outputs(vertex) or {}).get(0) if fetched is None else fetched.value
        if isinstance(value, Layers):
            found[vertex.digest] = value.chain
    return found


def known_steps(root: Ref | None, job: Job) -> list[KnownStep]:
    """Return what a solved result stands on, as far as it was worked out in this build."""
    found: list[KnownStep] = []
    for vertex in ancestry(root):
        known = job.keyed.get(vertex)
        if known is None or isinstance(vertex.op, Source):
            continue
        found += [
            KnownStep(known.key, known.identity, number, value.chain)
            for number, value in (job.outputs(vertex) or {}).items()
            if isinstance(value, Layers) and value.chain is not None
        ]
    return found
