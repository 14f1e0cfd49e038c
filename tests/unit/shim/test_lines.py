from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from boxship.shim.lines import Kind, Lines
from boxship.wire.jsonlog import LONGEST

blocks = st.lists(
    st.one_of(st.binary(max_size=50), st.sampled_from([b"x" * 5000, b"y" * 20000, b"\n", b"\xe2"])),
    max_size=12,
)


def cut(pieces):
    lines = Lines()
    out = [c for piece in pieces for c in lines.feed(piece)]
    return out + list(lines.finish())


@given(blocks)
def test_nothing_is_lost_and_no_record_is_too_long(pieces):
    cuts = cut(pieces)
    assert b"".join(c.text for c in cuts) == b"".join(pieces)
    for kind, text in cuts:
        for line in text.split(b"\n"):
            assert len(line) <= LONGEST
        assert text.endswith(b"\n") == (kind is not Kind.PIECE)


@given(blocks, st.integers(1, 7000))
def test_how_output_is_cut_does_not_change_the_records(pieces, step):
    whole = b"".join(pieces)
    again = [whole[at : at + step] for at in range(0, len(whole), step)]
    assert records(cut(again)) == records(cut([whole]))


def records(cuts):
    return [
        (kind is Kind.PIECE, line)
        for kind, text in cuts
        for line in re.findall(rb"[^\n]*\n|[^\n]+", text)
    ]


def test_a_line_of_many_pieces_ends_with_its_last():
    cuts = cut([b"a" * (LONGEST + 5) + b"\nnext\n"])
    assert [(c.kind, len(c.text)) for c in cuts] == [
        (Kind.PIECE, LONGEST),
        (Kind.END, 6),
        (Kind.LINES, 5),
    ]


def test_a_character_is_not_cut_in_two():
    first, second = cut([b"a" * (LONGEST - 1) + "é".encode() + b"\n"])
    assert first.text == b"a" * (LONGEST - 1)
    assert second.text == "é\n".encode()


def test_a_last_line_without_end_is_a_piece():
    assert [(c.kind, c.text) for c in cut([b"a\nb"])] == [(Kind.LINES, b"a\n"), (Kind.PIECE, b"b")]
