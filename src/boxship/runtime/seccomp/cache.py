"""Filters kept for the next container with the same profile, in memory and on disk.

<folder>/<digest of profile, machine and compiler>   digest of the filter, 32 bytes; the filter
"""

from __future__ import annotations

import os
from _blake2 import blake2b  # with hashlib comes a large library: it is memory of each starter
from functools import lru_cache
from typing import Final

import msgspec

from boxship.kernel import seccomp as kernel
from boxship.lib import atomicfile
from boxship.runtime.seccomp import compiler
from boxship.spec.oci import runtime

EDITION: Final = b"2"  # of the compiler; a new one makes all that is kept useless
DIGEST: Final = 32
LARGEST: Final = DIGEST + 4096 * kernel.INSTRUCTION
KEPT: Final = 32


def compiled(profile: runtime.Seccomp, machine: str, folder: str | None = None) -> bytes:
    """Return the filter of a profile, from memory, from `folder` or by compiling it."""
    return _compiled(msgspec.json.encode(profile), machine, folder)


@lru_cache(maxsize=KEPT)
def _compiled(encoded: bytes, machine: str, folder: str | None) -> bytes:
    if folder is None:
        return _compile(encoded, machine)
    name = _digest(b"\0".join((EDITION, machine.encode(), encoded))).hex()
    path = os.path.join(folder, name)
    found = _read(path)
    if found is None:
        found = _compile(encoded, machine)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        atomicfile.write(path, _digest(found) + found, durable=False)
    return found


def _compile(encoded: bytes, machine: str) -> bytes:
    return compiler.compile(msgspec.json.decode(encoded, type=runtime.Seccomp), machine)


def _read(path: str) -> bytes | None:
    """Return a kept filter; one that is damaged counts as none."""
    try:
        with open(path, "rb") as file:
            kept = file.read(LARGEST)
    except FileNotFoundError:
        return None
    digest, program = kept[:DIGEST], kept[DIGEST:]
    return program if _digest(program) == digest else None


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST).digest()
