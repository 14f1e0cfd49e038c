"""What stands between the steps of a classic build: numbers that become images when asked for.

    Step 2/3 : RUN make
     ---> 1a2b3c4d5e6f          docker run -it 1a2b3c4d5e6f sh

The classic builder made an image of each step. Here a number is remembered with the step's layers
and configuration, and an image is made of them when somebody names it: it has no name, is found by
that number from then on, and goes as dangling images go. Numbers are forgotten when the engine
stops, and do nothing once the cache has lost the layers.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from boxship.build.cache.records import Records
from boxship.build.dockerfile.image import Moment
from boxship.build.export.images import ImageExport, Order, Part
from boxship.build.export.provenance import Course
from boxship.build.filesystems import Layers
from boxship.build.request import BuildRequest, Export, Graph, Kind, Target
from boxship.image.images import Image, Images
from boxship.snapshot.driver import ChainId
from boxship.spec.platform import Platform

KEPT: Final = 2_000
BYTES: Final = 16 << 20  # of configurations
NUMBER: Final = re.compile("[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Between:
    """What one number stands for."""

    moment: Moment
    chain: ChainId | None
    platform: Platform


class Intermediates:
    """Numbers, and images of them; safe to use from any thread."""

    def __init__(
        self,
        images: Images,
        export: ImageExport,
        records: Records,
        current: Callable[[ChainId], ChainId | None],
    ) -> None:
        """`current` says what a layer is called now, and None where it is gone."""
        self._images = images
        self._export = export
        self._records = records
        self._current = current
        self._known: dict[str, Between] = {}
        self._made: dict[str, str] = {}
        self._bytes = 0
        self._turn = threading.Lock()

    def keep(self, number: str, between: Between) -> None:
        """Remember what a number stands for; the oldest are forgotten."""
        with self._turn:
            self._forget(number)
            self._known[number] = between
            self._bytes += len(between.moment.config)
            while len(self._known) > KEPT or self._bytes > BYTES:
                self._forget(next(iter(self._known)))

    def _forget(self, number: str) -> None:
        known = self._known.pop(number, None)
        self._made.pop(number, None)
        self._bytes -= len(known.moment.config) if known else 0

    def find(self, ref: str) -> Image | None:
        """Return the image that a number stands for, made now if there is none."""
        if not NUMBER.fullmatch(ref):
            return None
        with self._turn:
            between = self._known.get(ref)
            if between is None:
                return None
            made = self._made.get(ref)
            image = self._images.find(made) if made else None
            image = image or self._make(between)
            if image is not None:
                self._made[ref] = image.id
            return image

    def _make(self, between: Between) -> Image | None:
        with self._records.holding() as held:
            chain = between.chain
            if chain is not None:
                held.chain(chain)
                if (chain := self._current(chain)) is None:
                    return None
                held.chain(chain)
            target = Target(None, between.platform, between.moment.image)
            request = BuildRequest(frontend=Graph((target,)))
            parts = [Part(target, Layers(chain))]
            course = Course("", 0, 0, [])
            return self._export.add(Order(request, Export(Kind.IMAGE), parts, held, course))
