"""Documents that are small to send and large to keep."""

from __future__ import annotations

import tracemalloc

import msgspec
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


class Sizes(msgspec.Struct):
    """Numbers that somebody will hand to the kernel."""

    memory: int = 0
    more: list[dict[str, int]] = []


@pytest.mark.parametrize("number", [1 << 63, 1 << 64, -(1 << 63) - 1, 10**30])
def test_numbers_that_64_bits_have_no_room_for_are_refused(number: int) -> None:
    """The kernel reads 2^64 as 0, which is a limit."""
    for document in (b'{"memory":%d}', b'{"more":[{"a":1},{"b":%d}]}'):
        with pytest.raises(InvalidDocument, match="64 bits"):
            strictjson.decode(document % number, Sizes, "body")
    assert strictjson.decode(b'{"unknown":%d}' % number, Sizes, "body") == Sizes()


def test_digits_in_text_and_the_largest_numbers_are_fine() -> None:
    text = b'{"9999999999999999999999":"12345678901234567890","memory":%d}' % ((1 << 63) - 1)
    assert strictjson.decode(text, Sizes, "body").memory == (1 << 63) - 1
    assert strictjson.decode(b'{"memory":%d}' % -(1 << 63), Sizes, "body").memory == -(1 << 63)
