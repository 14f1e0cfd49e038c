"""What is attested of files that a client is given, as files beside them."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec

from boxship.build.export import attestations
from boxship.build.request import Export
from boxship.build.statements import Statement
from boxship.errors import InvalidRequest
from boxship.snapshot import trees

PREFIX: Final = "attestation-prefix"
MODE: Final = 0o600
NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def write(said: Sequence[Statement], root: int, export: Export) -> None:
    """Write statements about all files beneath a folder into it, each as a file of its own.

    One that the result has under such a name goes. InvalidRequest where two have the same.
    """
    if not said:
        return
    prefix = export.attrs.get(PREFIX, "")
    if "/" in prefix or "\0" in prefix:
        raise InvalidRequest(f"invalid {PREFIX}: {prefix[:100]!r}")
    about, names = sorted(_subjects(root), key=itemgetter("name")), set[str]()
    for one in said:
        name = prefix + one.name
        if name in names:
            raise InvalidRequest(f"duplicate attestation path name {name}")
        names.add(name)
        try:
            os.unlink(name, dir_fd=root)
        except FileNotFoundError:
            pass
        except IsADirectoryError:
            raise InvalidRequest(f"an attestation cannot replace the folder {name}") from None
        data = msgspec.json.format(attestations.document(one, about), indent=2)
        with open(os.open(name, NEW, MODE, dir_fd=root), "wb") as file:
            file.write(data)


def _subjects(root: int) -> Iterator[dict[str, Any]]:
    """Yield each file of a result, and its digest."""
    for node in trees.walk(root):
        if stat.S_ISREG(node.stat.st_mode):
            with open(os.open(node.name, READ, dir_fd=node.folder), "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield {"name": os.fsdecode(node.path), "digest": {"sha256": digest}}
