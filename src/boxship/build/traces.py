"""What a builder that was killed has left: seen without loading the builder that cleans it up."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable
from typing import Final

SNAPSHOTS: Final = "build-"  # how the keys of a builder's snapshots begin
PLACE: Final = ".place"  # the one folder of a builder's processes that stays
CONTEXTS: Final = "contexts"  # beneath a builder's data, while their builds run
COPIES: Final = "copies"  # beneath a builder's data: what was copied last
FOLDERS: Final = "folders"  # there too, those that have a record and those that are being made


def left(keys: Iterable[str], recorded: Container[str], data: str, run: str) -> bool:
    """Tell whether there are snapshots, processes, contexts or folders of builds cut short."""
    return (
        any(key.startswith(SNAPSHOTS) for key in keys)
        or any(name != PLACE for name in _names(run))
        or bool(_names(os.path.join(data, CONTEXTS)))
        or any(name not in recorded for name in _names(os.path.join(data, FOLDERS)))
    )


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []
