"""User and group ids of a new user namespace."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from boxship.runtime.errors import StartFailed

if TYPE_CHECKING:
    from boxship.spec.oci import runtime as oci


def write_maps(pid: int, linux: oci.Linux) -> None:
    """Say which ids of the host those of a process's namespace are; this can be done once."""
    write(pid, lines(linux.uid_mappings), lines(linux.gid_mappings))


def lines(mappings: Sequence[oci.IDMapping]) -> str:
    """Return mappings as the kernel reads them."""
    return "".join(f"{one.container_id} {one.host_id} {one.size}\n" for one in mappings)


def write(pid: int, users: str, groups: str) -> None:
    """Write what `lines` returned."""
    for path, text in ((f"/proc/{pid}/uid_map", users), (f"/proc/{pid}/gid_map", groups)):
        if not text:
            raise StartFailed("user namespaces enabled, but no user mapping found")
        try:
            with open(path, "wb", buffering=0) as file:
                file.write(text.encode())
        except OSError as failure:
            reason = os.strerror(failure.errno or 0).lower()
            raise StartFailed(f"failed to write {path}: {reason}") from failure
