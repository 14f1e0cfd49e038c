from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.errors import InvalidRequest
from boxship.wire import multiplex
from boxship.wire.multiplex import Demultiplexer, Frame, Stream

frames = st.lists(st.tuples(st.sampled_from(Stream), st.binary(max_size=40)), max_size=8)


@given(frames, st.integers(1, 20))
def test_what_was_framed_reads_back_however_it_was_cut(sent, step):
    wire = b"".join(multiplex.frame(stream, payload) for stream, payload in sent)
    reader = Demultiplexer()
    got = [frame for at in range(0, len(wire), step) for frame in reader.feed(wire[at : at + step])]
    assert got == [Frame(*item) for item in sent]
    assert reader.is_complete


def test_a_frame_is_laid_out_as_docker_does():
    assert multiplex.frame(Stream.STDERR, b"ab") == b"\x02\0\0\0\0\0\0\x02ab"


def test_bytes_that_are_no_frames_are_refused():
    with pytest.raises(InvalidRequest):
        list(Demultiplexer().feed(b"hello world"))
