"""Folders in folders, deeper than any path is long."""

from __future__ import annotations

import os
from pathlib import Path


def deepen(top: Path, levels: int, *, with_files: bool = False) -> None:
    """Make `a` in `top`, in that another, and so on; with a file beside each."""
    folder = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("a", dir_fd=folder)
        if with_files:
            file = os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=folder)
            os.write(file, b"content")
            os.close(file)
        above, folder = folder, os.open("a", os.O_RDONLY, dir_fd=folder)
        os.close(above)
    os.close(folder)
