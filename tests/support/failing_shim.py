"""The spawner's program, and so all shims, with points at which they fail: see `failpoints`."""

from __future__ import annotations

from boxship.shim import entry
from tests.support import failpoints


def main(descriptor: int, *arguments: str) -> None:
    """Serve the daemon as the spawner does."""
    failpoints.wrap_all(failpoints.SHIM_STEPS)
    entry.main(descriptor, *arguments)
