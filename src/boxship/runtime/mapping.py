"""User and group ids of a new user namespace."""

from __future__ import annotations

import os
from collections.abc import Sequence

from boxship.runtime.errors import StartFailed
from boxship.spec.oci import runtime as oci


def write_maps(pid: int, linux: oci.Linux) -> None:
    """Say which ids of the host those of a process's namespace are; this can be done once."""
    _write(f"/proc/{pid}/uid_map", linux.uid_mappings)
    _write(f"/proc/{pid}/gid_map", linux.gid_mappings)


def _write(path: str, mappings: Sequence[oci.IDMapping]) -> None:
    if not mappings:
        raise StartFailed("user namespaces enabled, but no user mapping found")
    lines = (f"{one.container_id} {one.host_id} {one.size}\n" for one in mappings)
    try:
        with open(path, "wb", buffering=0) as file:
            file.write("".join(lines).encode())
    except OSError as failure:
        reason = os.strerror(failure.errno or 0).lower()
        raise StartFailed(f"failed to write {path}: {reason}") from failure
