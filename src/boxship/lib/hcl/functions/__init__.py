"""The functions that definitions may call; their names and meanings are those that bake knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from boxship.lib.hcl.values import Value


@cache
def functions() -> Mapping[str, Callable[..., Value]]:
    """Return all of them, by name."""
    from boxship.lib.hcl.functions import (
        collections,
        dates,
        encoding,
        formatting,
        general,
        networks,
        numbers,
        sets,
        strings,
    )

    parts = (
        collections, dates, encoding, formatting, general, networks, numbers, sets, strings
    )  # fmt: skip
    return {name: made for part in parts for name, made in part.FUNCTIONS.items()}
