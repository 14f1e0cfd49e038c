"""What a driver keeps beside each layer and each snapshot, as a small JSON file.

A layer can be unpacked again from its content, so nobody waits until its files have reached the
disk: until then it says in which boot of the machine it was unpacked. After another boot, which
may have followed a power cut, such a layer is not believed and goes.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from errno import ENOENT
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from boxship.errors import InvalidRequest
from boxship.kernel.syscalls import syscall
from boxship.lib import atomicfile, strictjson
from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest

NAME: Final = "layer.json"
KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}", re.ASCII)


class LayerFile(Struct, kw_only=True, omit_defaults=True):
    """`link` is the layer's short name, in `l/`; `boot` is empty once it is on the disk.

    A `bare` snapshot is without what every container finds in its root.
    """

    parent: Digest | None = None
    link: str = ""
    size: int = 0
    inodes: int = 0
    boot: str = ""
    bare: bool = False


def read(folder: str) -> LayerFile:
    """Read the file in a layer's folder; FileNotFoundError where there is none.

    What a power cut has left empty or torn is none.
    """
    path = os.path.join(folder, NAME)
    with open(path, "rb") as file:
        try:
            return strictjson.decode(file.read(), LayerFile, NAME)
        except strictjson.InvalidDocument as error:
            raise FileNotFoundError(ENOENT, "damaged", path) from error


def write(folder: str, layer: LayerFile) -> None:
    """Write it; flushed together with the image's record, not before."""
    atomicfile.write(os.path.join(folder, NAME), strictjson.encode(layer), durable=False)


def read_all(layers: str, boot: str) -> tuple[dict[ChainId, LayerFile], list[str]]:
    """Read all layers of a folder; also name those that another boot left unflushed."""
    known: dict[ChainId, LayerFile] = {}
    doubtful: list[str] = []
    for name in os.listdir(layers):
        try:
            layer = read(os.path.join(layers, name))
        except FileNotFoundError:
            doubtful.append(name)
            continue
        if layer.boot and layer.boot != boot:
            doubtful.append(name)
        else:
            known[ChainId(Digest.from_hex(name))] = layer
    while baseless := [
        c for c, layer in known.items() if layer.parent and layer.parent not in known
    ]:
        for chain in baseless:  # what stands on a doubtful layer is of no use either
            del known[chain]
            doubtful.append(chain.hex)
    return known, doubtful


def settle(
    layers: str, known: dict[ChainId, LayerFile], turn: AbstractContextManager[object]
) -> None:
    """Bring all layers to the disk, and say so beside each that has not changed meanwhile.

    Who writes another record of a layer does so in the `turn`.
    """
    waiting = {chain: layer for chain, layer in list(known.items()) if layer.boot}
    if not waiting:
        return
    folder = os.open(layers, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscall("syncfs", folder)
    finally:
        os.close(folder)
    for chain, layer in waiting.items():
        with turn:
            if known.get(chain) is layer:
                settled = replace(layer, boot="")
                write(os.path.join(layers, chain.hex), settled)
                known[chain] = settled


def this_boot() -> str:
    """Return what tells this boot of the machine from others."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


@contextmanager
def staged(folder: str) -> Iterator[str]:
    """A new folder to make something in; it is moved away, or goes when that fails."""
    path = os.path.join(folder, secrets.token_hex(8))
    os.mkdir(path, 0o700)
    try:
        yield path
    except BaseException:
        trees.remove_path(path)
        raise


def check_key(key: str) -> None:
    """Refuse a key that could be more than a file name."""
    if not KEY.fullmatch(key):
        raise InvalidRequest(f"invalid snapshot key: {key[:100]!r}")
