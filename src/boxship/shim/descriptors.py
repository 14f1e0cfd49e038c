"""What a copied process has of its parent's descriptors: only what it is to have."""

from __future__ import annotations

import os


def close_all_but(*kept: int) -> None:
    """Have only these and the first three.

    Whatever the parent was doing: a connection that a copy holds open would never be seen to end.
    """
    low = 3
    for fd in sorted(kept):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
