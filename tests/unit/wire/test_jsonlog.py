from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from boxship.wire import jsonlog

lines = st.lists(st.binary(max_size=60).map(lambda b: b.replace(b"\n", b"")), min_size=1)


@given(lines)
def test_any_lines_become_one_json_object_each(texts):
    written = jsonlog.Encoder("stdout").lines(b"".join(t + b"\n" for t in texts), "T")
    parsed = [json.loads(line) for line in written.decode().split("\n")[:-1]]
    wanted = [
        {"log": t.decode(errors="replace") + "\n", "stream": "stdout", "time": "T"} for t in texts
    ]
    assert parsed == wanted


@given(lines)
def test_what_was_encoded_decodes(texts):
    encoder = jsonlog.Encoder("stderr", {"tag": 'a "b"', "env": "é"})
    written = encoder.lines(b"".join(t + b"\n" for t in texts), jsonlog.stamp(1))
    records = jsonlog.decode(written, jsonlog.Record)
    assert [r.log for r in records] == [t.decode(errors="replace") + "\n" for t in texts]
    assert {r.stream for r in records} == {"stderr"}
    assert all(r.attrs == {"tag": 'a "b"', "env": "é"} for r in records)


def test_a_piece_has_no_newline():
    assert jsonlog.Encoder("stdout").piece(b'a"\x01', "T") == (
        b'{"log":"a\\"\\u0001","stream":"stdout","time":"T"}\n'
    )


def test_a_line_that_a_crash_cut_is_left_out_and_the_others_stay():
    good = jsonlog.Encoder("stdout").lines(b"one\ntwo\n", "T")
    assert [r.log for r in jsonlog.decode(good[:30] + b"\n" + good, jsonlog.Record)] == [
        "one\n",
        "two\n",
    ]


def test_times_have_nine_digits_and_order_as_text():
    assert jsonlog.stamp(1_700_000_000_000_000_005) == "2023-11-14T22:13:20.000000005Z"
    assert jsonlog.comparable("2023-11-14T22:13:20.5Z") == "2023-11-14T22:13:20.500000000Z"
    assert jsonlog.comparable("2023-11-14T22:13:20Z") == "2023-11-14T22:13:20.000000000Z"
