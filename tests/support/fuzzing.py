"""Bytes and documents that are nearly right: what is good, with some places changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

Edit = tuple[float, int, bytes]
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 3), st.binary(min_size=1, max_size=9)), max_size=6
)
ANY = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["", "sha256:" + "0" * 64, "../x", "\0", "linux"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=4,
)


def changed(seed: bytes, edits: Sequence[Edit]) -> bytes:
    """Apply edits: bytes replaced, put in, taken out, or everything after a place cut off."""
    data = bytearray(seed)
    for where, kind, piece in edits:
        at = int(where * len(data))
        match kind:
            case 0:
                data[at : at + len(piece)] = piece
            case 1:
                data[at:at] = piece
            case 2:
                del data[at : at + len(piece)]
            case _:
                del data[at:]
    return bytes(data)


def nearly(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Return good bytes that have been changed in places, or any bytes."""
    return st.builds(changed, st.sampled_from(seeds), EDITS) | st.binary(max_size=100)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to all values within one."""
    found = [path]
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            found += _places(inner, (*path, key))
    return found


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = _with(value[path[0]], path[1:], new)
    return copied


def documents(*seeds: bytes) -> st.SearchStrategy[bytes]:
    """Return JSON documents in which one value is any other, or bytes that are nearly JSON."""
    every = [(json.loads(seed), path) for seed in seeds for path in _places(json.loads(seed))]
    swapped = st.builds(
        lambda place, new: json.dumps(_with(place[0], place[1], new)).encode(),
        st.sampled_from(every),
        ANY,
    )
    return swapped | nearly(*seeds)
