"""`left://NAME`: what a step that failed has left behind, for clients who look into it.

The names are random and known to the client of the build alone; layers stay in the build cache.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from typing import Final

from boxship.build.errors import NoSuchFile
from boxship.build.filesystems import Layers, Value
from boxship.build.ops import Ref, Source, Vertex
from boxship.build.sources.source import Asker, Fetched, Tell
from boxship.spec.platform import Platform

SCHEME: Final = "left://"
MOST: Final = 200


class LeftBehind:
    """Keeps results of failed steps by names; forgets the oldest."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Value] = OrderedDict()

    def put(self, value: Value) -> Ref:
        """Keep a result; return what stands for it in a graph."""
        name = SCHEME + secrets.token_hex(16)
        self._kept[name] = value
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return Ref(Vertex(Source(name)))

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Return what is kept."""
        value = self._kept.get(source.identifier)
        if value is None:
            raise NoSuchFile(source.identifier)
        if isinstance(value, Layers):
            asker.held.chain(value.chain)
        return Fetched(value, source.identifier)
