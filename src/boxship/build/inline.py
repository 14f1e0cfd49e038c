"""The cache inside an image: which of its layers are which steps' results.

    config["moby.buildkit.cache.v0"]   base64 of a list of records (cache/document.py), whose
                                       results are numbers of the image's layers, from the bottom

Whoever builds with `--cache-from` such an image finds these steps done. A BuildKit reads it too.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from boxship.build.cache import document
from boxship.build.cache.document import Record, Result
from boxship.snapshot.driver import ChainId

MEMBER: Final = "moby.buildkit.cache.v0"
MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class KnownStep:
    """A step that is done: its keys, and one of its results."""

    key: str
    identity: str
    output: int
    chain: ChainId


class Config(msgspec.Struct):
    """Of an image's configuration, the cache."""

    cache: str = msgspec.field(default="", name=MEMBER)


def write(steps: Sequence[KnownStep], chains: Sequence[ChainId]) -> str:
    """Return the steps whose results are layers of an image, the bottom one first."""
    numbers = {chain: number for number, chain in enumerate(chains)}
    records: list[Record] = []
    known: dict[str, int] = {}
    for one in steps:
        called = document.name(one.identity, one.output)
        if one.chain in numbers and called not in known:
            result = Result(layer=numbers[one.chain])
            document.add(records, known, called, one.key if one.output == 0 else called, [result])
    return base64.b64encode(msgspec.json.encode(records)).decode()


@dataclass(frozen=True, slots=True)
class Numbered:
    """A result, by the name of its record; `layer` is the number of the layer it ends with.

    keys: what leads to it.
    """

    called: str
    layer: int
    keys: tuple[str, ...] = ()


def read(config: bytes, layers: int) -> list[Numbered]:
    """Return the results that the configuration of an image of so many layers tells of."""
    try:
        said = msgspec.json.decode(config, type=Config).cache
        records = msgspec.json.decode(base64.b64decode(said), type=list[Record]) if said else []
    except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
        return []
    records = records[:MOST]
    return [
        Numbered(called, record.layers[0].layer, tuple(document.leading(records, record)))
        for record in records
        if (called := document.called(record)) is not None
        and record.layers
        and 0 <= record.layers[0].layer < layers
    ]
