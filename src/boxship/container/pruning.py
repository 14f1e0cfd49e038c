"""Prune: remove what does not run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from boxship.container.containers import Containers
from boxship.container.lifecycle import State
from boxship.errors import Conflict, NotFound
from boxship.model.filters import has_label, has_labels


async def prune(
    containers: Containers, filters: Mapping[str, Sequence[str]], until: int | None
) -> tuple[list[str], int]:
    """Remove stopped containers that the filters let through; return their IDs and the bytes."""
    if containers.pruning:
        raise Conflict("a prune operation is already running")
    containers.pruning = True
    gone, freed = [], 0
    try:
        for cell in containers.registry:
            record = cell.record
            if record.state not in (State.CREATED, State.EXITED, State.DEAD):
                continue
            if until is not None and record.created > until:
                continue
            labels = record.config.labels or {}
            if not has_labels(labels, filters.get("label", ())):
                continue
            if any(has_label(labels, text) for text in filters.get("label!", ())):
                continue
            writable, _ = await asyncio.to_thread(containers.sizes, cell)
            with suppress(Conflict, NotFound):
                await containers.remove(cell.id)
                gone.append(str(cell.id))
                freed += writable
    finally:
        containers.pruning = False
    containers.announce_all("prune", reclaimed=str(freed))
    return gone, freed
