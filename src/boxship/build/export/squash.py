"""`--squash`: all layers that a build has made become one, on top of the base image's."""

from __future__ import annotations

from msgspec.structs import replace

from boxship.build.cache.record import Layer
from boxship.build.cache.records import Held, Records
from boxship.build.filesystems import Filesystems, Layers, Value
from boxship.build.merging import compare
from boxship.snapshot.driver import ChainId
from boxship.spec.oci.image import History, ImageConfig


class Squash:
    """Makes such results; blocks."""

    def __init__(self, filesystems: Filesystems, records: Records) -> None:
        self._filesystems = filesystems
        self._records = records

    def squashed(self, value: Value, base: ChainId | None, held: Held) -> tuple[Value, int]:
        """Return the result as one layer on `base`, and how many layers that one replaces."""
        made: list[Layer] = []
        chain = self._filesystems.layered(value, "files", held, made)
        lineage = self._filesystems.lineage(chain)
        names = [self._records.current(one) for one in lineage]
        at = names.index(base) + 1 if base in names else 0
        if len(names) - at < 2:
            return Layers(chain), 0
        with (
            self._filesystems.looking(Layers(base if at else None)) as below,
            self._filesystems.looking(Layers(chain)) as above,
        ):
            alone = self._filesystems.of_differences(compare(below, above), "squash", held)
        made.append(alone)
        top = alone
        if at:
            top = self._filesystems.grafted(alone.chain, base, "squash", held)
            made.append(top)
        self._records.put(f"squash {top.chain}", {0: top.chain}, made)
        return Layers(top.chain), len(names) - at


def history(config: ImageConfig, layers: int) -> ImageConfig:
    """Return a configuration whose last `layers` layers are one now."""
    lines: list[History] = []
    left = layers
    for line in reversed(config.history or []):
        if not line.empty_layer and left:
            left -= 1
            line = replace(line, empty_layer=True)
        lines.append(line)
    lines.reverse()
    return replace(config, history=[*lines, History(comment="layers merged by --squash")])
