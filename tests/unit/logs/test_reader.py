"""Reading what the shim's writer wrote, with both formats and in every state of rotation."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxship.logs.drivers.files import driver
from boxship.logs.query import Query
from boxship.logs.reader import follow, read
from boxship.shim.journal import Journal, open_journal
from boxship.shim.protocol import LogChoice
from boxship.wire import jsonlog, multiplex
from boxship.wire.multiplex import Demultiplexer, Stream

FORMATS = ("json-file", "local")
RAW = Query(multiplex=False)


@pytest.fixture(params=FORMATS)
def kind(request):
    return request.param


def journal(kind: str, path: Path, **limits) -> Journal:
    made = open_journal(LogChoice(kind, str(path), attrs={"tag": "x y"}, **limits))
    assert made
    return made


def text(kind: str, path: Path, query: Query = RAW) -> bytes:
    return b"".join(read(str(path), driver(kind).format(), query))


def numbers(*ranges: range) -> bytes:
    return b"".join(b"%06d\n" % n for some in ranges for n in some)


def test_everything_reads_back_in_frames_of_one_line(kind, tmp_path):
    log = journal(kind, tmp_path / "log")
    log.write(1, b"one\ntwo\n")
    log.write(2, b"bad\n")
    log.write(1, b"end")
    log.finish()
    frames = list(Demultiplexer().feed(text(kind, tmp_path / "log", Query())))
    assert frames == [
        (Stream.STDOUT, b"one\n"),
        (Stream.STDOUT, b"two\n"),
        (Stream.STDERR, b"bad\n"),
        (Stream.STDOUT, b"end"),
    ]


def test_streams_and_times_are_chosen(kind, tmp_path, monkeypatch):
    log = journal(kind, tmp_path / "log")
    for second in range(1, 6):
        monkeypatch.setattr("boxship.shim.journal.time_ns", lambda at=second: at * 10**9)
        log.write(1, b"o%d\n" % second)
        log.write(2, b"e%d\n" % second)
    path = tmp_path / "log"
    assert text(kind, path, Query(stderr=False, multiplex=False)) == b"o1\no2\no3\no4\no5\n"
    limits = Query(since=2 * 10**9, until=3 * 10**9, stdout=False, multiplex=False)
    assert text(kind, path, limits) == b"e2\ne3\n"
    stamped = text(kind, path, Query(timestamps=True, tail=1, multiplex=False))
    assert stamped == jsonlog.stamp(5 * 10**9).encode() + b" e5\n"


def test_what_others_wrote_is_read_as_output_with_whole_times(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(
        b'{"log":"a\\n","stream":"other","time":"2023-11-14T22:13:20.5Z"}\n'
        b'{"log":"\\u00e9\\n","stream":"stderr","time":"2023-11-14T22:13:21Z"}\n'
    )
    frames = Demultiplexer().feed(text("json-file", path, Query(timestamps=True)))
    assert [frame.payload.decode() for frame in frames if frame.stream == Stream.STDOUT] == [
        "2023-11-14T22:13:20.500000000Z a\n"
    ]
    assert text("json-file", path, Query(stdout=False)) == multiplex.frame(2, "é\n".encode())


def test_details_come_before_the_line_and_after_the_time(tmp_path):
    log = journal("json-file", tmp_path / "log")
    log.write(1, b"a\n")
    assert text("json-file", tmp_path / "log", Query(details=True, multiplex=False)) == (
        b"tag=x+y a\n"
    )


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("count", [0, 1, 7, 3000, 4000, 19_999, 20_000, 50_000])
def test_a_tail_may_lie_in_any_file(kind, tmp_path, compress, count):
    log = journal(kind, tmp_path / "log", max_size=150_000, max_file=50, compress=compress)
    for start in range(0, 20_000, 100):
        log.write(1, numbers(range(start, start + 100)))
        while log.tidy():
            pass
    assert os.path.exists(tmp_path / ("log.2.gz" if compress else "log.2"))
    got = text(kind, tmp_path / "log", Query(tail=count, multiplex=False))
    assert got == numbers(range(max(20_000 - count, 0), 20_000))


@given(st.integers(0, 60), st.integers(0, 80))
@settings(max_examples=60, deadline=None)
def test_a_json_tail_is_exact_wherever_blocks_are_cut(tmp_path_factory, lines, count):
    path = tmp_path_factory.mktemp("tail") / "log"
    log = journal("json-file", path)
    text_of = [b"%d" % n + b"x" * (n * 97 % 5000) + b"\n" for n in range(lines)]
    for line in text_of:
        log.write(1, line)
    got = text("json-file", path, Query(tail=count, multiplex=False))
    assert got == b"".join(text_of[max(lines - count, 0) :])


def test_a_last_line_that_a_crash_cut_is_left_out(kind, tmp_path):
    log = journal(kind, tmp_path / "log")
    log.write(1, b"whole\nanother\n")
    os.truncate(tmp_path / "log", os.path.getsize(tmp_path / "log") - 3)
    assert text(kind, tmp_path / "log") == b"whole\n"
    assert text(kind, tmp_path / "log", Query(tail=1, multiplex=False)) in (b"whole\n", b"")


def test_a_file_that_is_no_log_is_bounded_and_harmless(tmp_path):
    (tmp_path / "log").write_bytes(b"x" * 5_000_000 + b'\n{"log":"ok\\n","stream":"stdout"}\n')
    assert text("json-file", tmp_path / "log") == b"ok\n"


def test_no_file_is_an_empty_log(kind, tmp_path):
    assert text(kind, tmp_path / "log") == b""


def collect(kind, path, query, act, ended_after=None):
    """Follow a log while `act` writes it; return what was read."""

    async def run() -> bytes:
        ended, got = asyncio.Event(), []

        async def reader() -> None:
            async for piece in follow(str(path), driver(kind).format(), query, ended):
                got.append(piece)

        task = asyncio.create_task(reader())
        await act()
        ended.set()
        await asyncio.wait_for(task, 10)
        return b"".join(got)

    return asyncio.run(run())


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("pause", [0.0, 0.001])
def test_following_loses_and_doubles_nothing_while_files_rotate(kind, tmp_path, compress, pause):
    log = journal(kind, tmp_path / "log", max_size=40_000, max_file=200, compress=compress)

    async def act():
        for start in range(0, 30_000, 100):
            log.write(1, numbers(range(start, start + 100)))
            log.tidy()
            if start % 500 == 0:
                await asyncio.sleep(pause)

    assert collect(kind, tmp_path / "log", RAW, act) == numbers(range(30_000))


def test_following_begins_with_the_tail_and_waits_for_a_file(kind, tmp_path):
    async def act():
        await asyncio.sleep(0.02)
        log = journal(kind, tmp_path / "log")
        log.write(1, b"first\n")
        await asyncio.sleep(0.02)
        log.write(1, b"second\n")

    assert collect(kind, tmp_path / "log", RAW, act) == b"first\nsecond\n"

    async def more():
        await asyncio.sleep(0.02)
        journal(kind, tmp_path / "log").write(1, b"third\n")

    tail = Query(tail=1, multiplex=False)
    assert collect(kind, tmp_path / "log", tail, more) == b"second\nthird\n"


def test_following_with_a_tail_of_nothing_gives_only_what_comes(kind, tmp_path):
    log = journal(kind, tmp_path / "log")
    log.write(1, b"old\n")

    async def act():
        await asyncio.sleep(0.02)
        log.write(1, b"new\n")

    assert collect(kind, tmp_path / "log", Query(tail=0, multiplex=False), act) == b"new\n"


def test_frames_are_whole_in_every_piece(tmp_path):
    log = journal("json-file", tmp_path / "log")
    log.write(1, numbers(range(200_000)))
    for piece in read(str(tmp_path / "log"), driver("json-file").format(), Query()):
        reader = Demultiplexer()
        list(reader.feed(piece))
        assert reader.is_complete
    assert multiplex.HEADER.size == 8
