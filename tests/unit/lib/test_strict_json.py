"""Documents that are small to send and large to keep."""

from __future__ import annotations

import tracemalloc

import pytest

from boxship.lib import strictjson
from boxship.lib.strictjson import InvalidDocument

LARGE = {
    "lists": b"[" + b"[]," * 1_390_000 + b"1]",
    "keys": b"{" + b",".join(b'"%x":1' % number for number in range(420_000)) + b"}",
    "numbers": b"[" + b"1.5," * 1_040_000 + b"1]",
}


@pytest.mark.parametrize("kind", LARGE)
def test_many_values_are_refused_before_they_take_memory(kind: str) -> None:
    assert len(LARGE[kind]) <= strictjson.SIZE
    tracemalloc.start()
    try:
        with pytest.raises(InvalidDocument, match="too many values"):
            strictjson.decode(LARGE[kind], dict, "manifest")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_long_text_is_not_many_values() -> None:
    text = b'{"license":"' + b"Redistribution, with or without changes: yes. " * 9000 + b'"}'
    assert strictjson.decode(text, dict, "statement")
