from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from boxship.shim.escape import DetachKeys

KEYS = b"\x10\x11"


def typed(keys: DetachKeys, *pieces: bytes) -> tuple[bytes, bool]:
    out = b""
    for piece in pieces:
        text, detached = keys.feed(piece)
        out += text
        if detached:
            return out, True
    return out, False


def test_the_keys_detach_even_when_they_come_one_by_one():
    assert typed(DetachKeys(KEYS), b"ab\x10", b"\x11cd") == (b"ab", True)


def test_a_first_key_alone_reaches_the_program_with_what_follows():
    assert typed(DetachKeys(KEYS), b"\x10", b"x") == (b"\x10x", False)


def test_a_first_key_twice_still_begins_the_sequence():
    assert typed(DetachKeys(KEYS), b"\x10\x10\x11") == (b"\x10", True)


def test_a_held_key_is_given_back_when_input_ends():
    keys = DetachKeys(KEYS)
    assert keys.feed(b"a\x10").text == b"a"
    assert keys.rest() == b"\x10"


@given(st.lists(st.binary(max_size=6)))
def test_without_keys_all_input_passes(pieces):
    assert typed(DetachKeys(b""), *pieces) == (b"".join(pieces), False)


@given(st.binary(max_size=30), st.integers(1, 5))
def test_how_input_is_cut_does_not_matter(data, step):
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    assert typed(DetachKeys(KEYS), *pieces) == typed(DetachKeys(KEYS), data)
