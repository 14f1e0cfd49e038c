from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.errors import InvalidRequest
from boxship.wire import locallog
from boxship.wire.locallog import Encoder, Entry, Partial

partials = st.none() | st.builds(
    Partial, st.booleans(), st.text(max_size=5), st.integers(0, 2**31 - 1)
)
entries = st.lists(st.tuples(st.binary(max_size=50), st.integers(0, 2**62), partials), max_size=8)


@given(entries)
def test_what_was_encoded_decodes(written):
    encoder = Encoder("stdout")
    data = b"".join(encoder.entry(*item) for item in written)
    got, end = locallog.decode(data)
    assert got == [Entry("stdout", time, line, partial) for line, time, partial in written]
    assert end == len(data)


@given(entries, st.integers(0, 400))
def test_a_file_cut_anywhere_gives_its_whole_records(written, cut):
    encoder = Encoder("stderr")
    data = b"".join(encoder.entry(*item) for item in written)[:cut]
    got, end = locallog.decode(data)
    assert [e.line for e in got] == [line for line, _, _ in written[: len(got)]]
    assert end == locallog.ends(data)[-1]


def test_lines_that_came_together_are_records_of_their_own():
    data = Encoder("stdout").lines(b"a\n\nb\n", 5)
    assert [e.line for e in locallog.decode(data)[0]] == [b"a", b"", b"b"]


def test_a_record_is_laid_out_as_docker_does():
    assert Encoder("stdout").entry(b"hi", 1) == (
        b"\0\0\0\x0e\x0a\x06stdout\x10\x01\x1a\x02hi\0\0\0\x0e"
    )


def test_an_impossible_size_is_refused():
    with pytest.raises(InvalidRequest):
        locallog.decode(b"\xff\xff\xff\xff" * 4)


@given(st.binary(max_size=40) | st.binary(max_size=9).map(lambda rest: b"\n\x01a\x10" + rest))
def test_garbage_in_a_record_is_refused_or_read_but_never_worse(body):
    try:
        locallog.decode_entry(body)
    except InvalidRequest:
        pass
