"""`rm --link`: a container no longer knows another by an alias; both go on."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import replace

import msgspec

from boxship.container import links
from boxship.container.containers import Containers
from boxship.container.errors import NoSuchContainer
from boxship.container.registry import Cell
from boxship.errors import Conflict


async def unlink(containers: Containers, ref: str) -> None:
    """Remove the link that is called `/CONTAINER/ALIAS`."""
    parent, slash, alias = ref.strip("/").rpartition("/")
    if not slash:
        containers.find(ref)
        raise Conflict("Conflict, cannot remove the default link name of the container")
    try:
        cell = containers.find(parent)
    except NoSuchContainer:
        raise NoSuchContainer(ref) from None
    async with cell.turn.take("unlink", ref):
        record = cell.record
        if alias not in record.links:
            raise NoSuchContainer(ref)
        left = {name: other for name, other in record.links.items() if name != alias}
        shown = [one for one in record.host_config.links or () if one.rpartition("/")[2] != alias]
        host = msgspec.structs.replace(record.host_config, links=shown or None)
        await containers.registry.put(cell, replace(record, links=left, host_config=host))
        await asyncio.to_thread(_forget_name, containers, cell, record.links[alias], alias)


def _forget_name(containers: Containers, cell: Cell, identifier: str, alias: str) -> None:
    """Take the name out of the hosts file, which a running container has mounted."""
    other = containers.registry.get(identifier)
    if other is None:
        return
    path = os.path.join(containers.folder(cell.id), "hosts")
    called = links.names(alias, other.record)
    with contextlib.suppress(FileNotFoundError):
        links.rewrite(path, lambda text: links.without(text, called))
