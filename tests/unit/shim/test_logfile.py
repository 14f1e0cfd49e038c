from __future__ import annotations

import errno
import gzip
import os

import pytest

from boxship.shim.journal import open_journal
from boxship.shim.logfile import JsonFraming, LocalFraming, LogFile
from boxship.shim.protocol import LogChoice
from boxship.wire import jsonlog, locallog


def log(path, framing=None, **options):
    settings = {"max_size": 0, "max_file": 1, "compress": False, **options}
    return LogFile(str(path), framing or JsonFraming(), **settings)


def test_a_file_exceeds_its_limit_by_less_than_a_record(tmp_path):
    file = log(tmp_path / "log", max_size=100, max_file=100)
    file.write(b"".join(b"%08d\n" % n for n in range(1000)))
    file.close()
    names = sorted(os.listdir(tmp_path), key=lambda n: -int(n.partition(".")[2] or 0))
    assert max(os.stat(tmp_path / name).st_size for name in names) < 100 + 9
    whole = b"".join((tmp_path / name).read_bytes() for name in names)
    assert whole.endswith(b"%08d\n" % 999)
    assert whole.count(b"\n") == len(whole) // 9


def test_no_more_files_are_kept_than_asked_for(tmp_path):
    file = log(tmp_path / "log", max_size=50, max_file=3)
    for n in range(100):
        file.write(b"%08d\n" % n)
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2"]


def test_as_many_files_as_one_likes_take_no_longer_than_those_there_are(tmp_path):
    file = log(tmp_path / "log", max_size=50, max_file=10**15)
    for n in range(20):
        file.write(b"%08d\n" % n)
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1", "log.2", "log.3"]
    assert (tmp_path / "log.3").read_bytes().startswith(b"%08d\n" % 0)


def test_one_file_begins_anew_when_it_is_full(tmp_path):
    file = log(tmp_path / "log", max_size=50)
    for n in range(100):
        file.write(b"%08d\n" % n)
    assert os.listdir(tmp_path) == ["log"]
    assert (tmp_path / "log").read_bytes().endswith(b"%08d\n" % 99)


def test_rotated_files_are_compressed_a_bit_at_a_time(tmp_path):
    file = log(tmp_path / "log", max_size=2_000_000, max_file=3, compress=True)
    text = b"".join(b"%015d\n" % n for n in range(130_000))
    file.write(text)
    steps = 0
    while file.step():
        steps += 1
    assert steps > 5
    assert sorted(os.listdir(tmp_path)) == ["log", "log.1.gz"]
    packed = gzip.decompress((tmp_path / "log.1.gz").read_bytes())
    assert packed + (tmp_path / "log").read_bytes() == text


def test_what_a_crash_left_half_is_removed(tmp_path):
    (tmp_path / "log").write_bytes(b"whole\nhal")
    file = log(tmp_path / "log")
    file.write(b"next\n")
    assert (tmp_path / "log").read_bytes() == b"whole\nnext\n"


@pytest.mark.parametrize("cut", range(1, 20))
def test_half_a_local_record_is_removed(tmp_path, cut):
    one, two = (locallog.Encoder("stdout").entry(text, 1) for text in (b"one", b"twenty"))
    (tmp_path / "log").write_bytes(one + two[:cut])
    log(tmp_path / "log", LocalFraming()).close()
    assert (tmp_path / "log").read_bytes() == one


def test_a_write_that_a_signal_cut_short_is_no_full_disk(tmp_path, monkeypatch):
    file = log(tmp_path / "log")
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    file.write(b"one\ntwo\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"
    assert file.lost == 0


def test_a_full_disk_costs_log_lines_only(tmp_path, monkeypatch):
    file = log(tmp_path / "log")
    file.write(b"before\n")
    write = os.write
    room = [3]

    def takes_what_fits(fd, data):
        if not (fits := room.pop() if room else 0):
            raise OSError(errno.ENOSPC, "no space")
        return write(fd, data[:fits])

    monkeypatch.setattr(os, "write", takes_what_fits)
    file.write(b"does not fit\n")
    monkeypatch.setattr(os, "write", write)
    file.write(b"after\n")
    assert (tmp_path / "log").read_bytes() == b"before\nafter\n"
    assert file.lost == 13


def test_the_pieces_of_a_long_line_share_an_id_and_a_time(tmp_path):
    journal = open_journal(LogChoice("local", str(tmp_path / "log")))
    journal.write(1, b"x" * 40_000 + b"\nnext\n")
    journal.finish()
    entries, _ = locallog.decode((tmp_path / "log").read_bytes())
    long = entries[:3]
    assert [len(e.line) for e in long] == [16384, 16384, 40_000 - 2 * 16384]
    assert [(e.partial.last, e.partial.ordinal) for e in long] == [
        (False, 1),
        (False, 2),
        (True, 3),
    ]
    assert len({e.partial.id for e in long}) == len({e.time for e in long}) == 1
    assert entries[3].line == b"next"
    assert entries[3].partial is None


def test_both_streams_keep_their_order_and_attributes(tmp_path):
    journal = open_journal(LogChoice("json-file", str(tmp_path / "log"), attrs={"tag": "t"}))
    journal.write(1, b"out\nhal")
    journal.write(2, b"err\n")
    journal.write(1, b"f\nend")
    journal.finish()
    records = jsonlog.decode((tmp_path / "log").read_bytes(), jsonlog.Record)
    assert [(r.stream, r.log) for r in records] == [
        ("stdout", "out\n"),
        ("stderr", "err\n"),
        ("stdout", "half\n"),
        ("stdout", "end"),
    ]
    assert all(r.attrs == {"tag": "t"} for r in records)
