"""What a driver keeps beside each layer and each snapshot, as a small JSON file."""

from __future__ import annotations

import os
import re
from typing import Final

from msgspec import Struct

from boxship.errors import InvalidRequest
from boxship.lib import atomicfile, strictjson
from boxship.spec.digest import Digest

NAME: Final = "layer.json"
KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)


class LayerFile(Struct, kw_only=True, omit_defaults=True):
    """`link` is the layer's short name, in `l/`."""

    parent: Digest | None = None
    link: str = ""
    size: int = 0
    inodes: int = 0


def read(folder: str) -> LayerFile:
    """Read the file in a layer's folder; FileNotFoundError where there is none."""
    with open(os.path.join(folder, NAME), "rb") as file:
        return strictjson.decode(file.read(), LayerFile, NAME)


def write(folder: str, layer: LayerFile) -> None:
    """Write it; flushed together with the image's record, not before."""
    atomicfile.write(os.path.join(folder, NAME), strictjson.encode(layer), durable=False)


def check_key(key: str) -> None:
    """Refuse a key that could be more than a file name."""
    if not KEY.fullmatch(key):
        raise InvalidRequest(f"invalid snapshot key: {key[:100]!r}")
