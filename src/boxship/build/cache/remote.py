"""The caches that one build was told of: what they know, and their layers when they are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from boxship.build.cache import document
from boxship.build.cache.arrivals import Arrivals
from boxship.build.cache.document import Known
from boxship.build.cache.places import Place
from boxship.build.cache.records import Held
from boxship.snapshot.driver import ChainId


@dataclass(slots=True)
class Remote:
    """Asked where nothing is kept here; only layers that a build stands on are fetched."""

    arrivals: Arrivals
    caches: list[tuple[Known, Place]] = field(default_factory=list)

    def add(self, known: Known, place: Place) -> None:
        """Look there too."""
        self.caches.append((known, place))

    def identity(self, key: str) -> str | None:
        """Return the identity that a definition's key led to elsewhere."""
        for known, _ in self.caches:
            if (found := known.identities.get(key)) is not None:
                return found
            if key in known.steps:
                return key
        return None

    def knows(self, identity: str) -> bool:
        """Whether a step was worked out elsewhere, so that what stands on it may be kept there."""
        return any(identity in known.steps for known, _ in self.caches)

    def has(self, identity: str, outputs: frozenset[int]) -> bool:
        """Whether one of the caches has these results of an identity."""
        return self._where(identity, outputs) is not None

    def _where(self, identity: str, outputs: frozenset[int]) -> tuple[Known, Place] | None:
        names = [document.name(identity, number) for number in outputs]
        for known, place in self.caches:
            if names and all(name in known.results for name in names):
                return known, place
        return None

    async def bring(
        self, identity: str, outputs: frozenset[int], held: Held, description: str
    ) -> Mapping[int, ChainId | None]:
        """Fetch the results of an identity that `has` said yes to."""
        found = self._where(identity, outputs)
        if found is None:
            raise LookupError(identity)
        known, place = found
        return {
            number: await self.arrivals.bring(
                known.results[document.name(identity, number)], place, held, description
            )
            for number in outputs
        }
