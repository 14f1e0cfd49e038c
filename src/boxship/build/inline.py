"""The cache inside an image: which of its layers are which steps' results.

    config["moby.buildkit.cache.v0"]   base64 of
        {"version": 1, "records": [[key, identity, number of the result, number of the layer]]}

Whoever builds with `--cache-from` such an image finds these steps done. BuildKit's own records
are under other keys and are passed over.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from boxship.snapshot.driver import ChainId

MEMBER: Final = "moby.buildkit.cache.v0"
VERSION: Final = 1
MOST: Final = 10_000
HASH: Final = 64


@dataclass(frozen=True, slots=True)
class KnownStep:
    """A step that is done: its keys, and one of its results."""

    key: str
    identity: str
    output: int
    chain: ChainId


class Document(msgspec.Struct):
    """What is written."""

    version: int
    records: list[tuple[str, str, int, int]]


class Config(msgspec.Struct):
    """Of an image's configuration, the cache."""

    cache: str = msgspec.field(default="", name=MEMBER)


def write(steps: Sequence[KnownStep], chains: Sequence[ChainId]) -> str:
    """Return the steps whose results are layers of an image, the bottom one first."""
    numbers = {chain: number for number, chain in enumerate(chains)}
    records = [
        (one.key, one.identity, one.output, numbers[one.chain])
        for one in steps
        if one.chain in numbers
    ]
    return base64.b64encode(msgspec.json.encode(Document(VERSION, records))).decode()


@dataclass(frozen=True, slots=True)
class Numbered:
    """A step that is done; `layer` is the number of the layer that its result ends with."""

    key: str
    identity: str
    output: int
    layer: int


def read(config: bytes, layers: int) -> list[Numbered]:
    """Return the steps that the configuration of an image of so many layers tells of.

    None where it is not ours; the layers need not be here.
    """
    try:
        said = msgspec.json.decode(config, type=Config).cache
        document = msgspec.json.decode(base64.b64decode(said), type=Document) if said else None
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return []
    if document is None or document.version != VERSION:
        return []
    return [
        Numbered(key, identity, output, layer)
        for key, identity, output, layer in document.records[:MOST]
        if 0 <= layer < layers and len(key) == len(identity) == HASH and output >= 0
    ]
