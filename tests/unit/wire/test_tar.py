"""tar: read at any cut, written the same each time, and hostile archives refused in bounds."""

import io
import struct
import tarfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxship.wire import tar, tarwriter
from boxship.wire.tar import Entry, InvalidArchive, Reader, UnexpectedEnd


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


def read(data, size=1 << 20):
    reader = Reader(cut(data, size))
    return [(entry, b"".join(bytes(part) for part in reader.content())) for entry in reader]


names = st.binary(min_size=1, max_size=300).filter(lambda n: b"\0" not in n and n.strip(b"/"))
entries = st.builds(
    Entry,
    name=names,
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 2),
    gid=st.integers(0, 2**32 - 2),
    mtime=st.integers(-(2**62), 2**62),
    xattrs=st.dictionaries(
        st.from_regex(rb"user\.[a-z]{1,20}", fullmatch=True),
        st.binary(min_size=1, max_size=50),
        max_size=3,
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(entries, st.binary(max_size=1500)), max_size=4), st.integers(1, 700))
def test_what_is_written_reads_back_however_it_is_cut(members, size):
    data = b""
    for entry, content in members:
        entry.size = len(content)
        data += tarwriter.header(entry) + content + tarwriter.padding(len(content))
    for entry, _ in members:
        entry.length = entry.size
    assert read(data + tarwriter.END, size) == members


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_what_others_write_is_read(form):
    long = "folder/" + "n" * 90 if form == tarfile.USTAR_FORMAT else "n" * 250
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as archive:
        info = tarfile.TarInfo(long)
        info.size, info.uid, info.mtime, info.mode = 3, 1000, 1_600_000_000, 0o4755
        archive.addfile(info, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "t" * 90
        archive.addfile(link)
    (first, content), (second, _) = read(data.getvalue(), 100)
    assert (first.name, content, first.uid, first.mode) == (long.encode(), b"abc", 1000, 0o4755)
    assert first.mtime == 1_600_000_000 * 10**9
    assert (second.type, second.link) == (tar.SYMLINK, b"t" * 90)


def test_what_is_written_others_read():
    entry = Entry("é".encode() * 80, uid=3_000_000, mtime=1_500_000_000_123_456_789, size=2)
    data = tarwriter.header(entry) + b"ab" + tarwriter.padding(2) + tarwriter.END
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        (info,) = archive.getmembers()
        assert (info.name, info.uid, info.size) == ("é" * 80, 3_000_000, 2)
        assert info.pax_headers["mtime"] == "1500000000.123456789"


def header(name=b"x", size=0, kind=b"0", link=b"", **raw):
    """A ustar header with a right checksum, whatever its fields say."""
    block = bytearray(tarwriter.header(Entry(name, kind, link=link)))
    block[124:136] = raw.get("size_field", b"%011o\0" % size)
    for at, data in raw.get("patches", {}).items():
        block[at : at + len(data)] = data
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(text):
    return header(b"p", len(text), b"x") + text + tarwriter.padding(len(text))


HOSTILE = {
    "negative size": header(size_field=b"\xff" * 11 + b"\xfe"),
    "size that is no number": header(size_field=b"+0000000001\0"),
    "size with underscores": header(size_field=b"0_000000001\0"),
    "wrong checksum": b"x" * 512,
    "looping pax record": pax(b"0 a=b\n"),
    "pax record without a length": pax(b" path=x\n"),
    "pax record longer than its header": pax(b"999999 path=x\n"),
    "pax record with a huge length": pax(b"9" * 4000 + b" path=x\n"),
    "pax size negative": pax(b"11 size=-1\n") + header(),
    "pax size huge": pax(b"36 size=99999999999999999999999999\n") + header(),
    "pax path with NUL": pax(b"12 path=a\0b\n") + header(),
    "pax time": pax(b"15 mtime=1e99\n") + header(),
    "many global records": header(b"g", 65 * 8, b"g")
    + b"".join(b"8 %03d=x\n" % number for number in range(65)).ljust(1024, b"\0")
    + header(),
    "metadata of 8 GiB": header(b"p", 8 << 30, b"x"),
    "long name of 2 MiB": header(b"p", 2 << 20, b"L") + bytes(2 << 20),
    "truncated header": header()[:300],
    "truncated content": header(size=1000) + bytes(512),
    "long name and nothing": header(b"p", 4, b"L") + b"abcd" + bytes(508),
    "sparse map past the end": header(
        kind=b"S",
        size=512,
        patches={386: b"%011o\0%011o\0" % (1 << 30, 512), 483: b"%011o\0" % 512},
    )
    + bytes(512),
    "sparse map out of order": header(
        kind=b"S",
        size=1024,
        patches={
            386: (b"%011o\0%011o\0" % (512, 512)) + (b"%011o\0%011o\0" % (0, 512)),
            483: b"%011o\0" % 2048,
        },
    )
    + bytes(1024),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_at_once(name):
    with pytest.raises(InvalidArchive):
        read(HOSTILE[name])


def test_a_chain_of_long_names_is_one_entrys_metadata():
    link = header(b"p", 60_000, b"L") + bytes(60_000) + tarwriter.padding(60_000)

    def endless():
        while True:
            yield link

    with pytest.raises(InvalidArchive, match="1 MiB"):
        Reader(endless()).next()


def test_a_sparse_map_of_a_million_parts_is_refused():
    extension = struct.pack("504s B 7x", (b"%011o\0%011o\0" % (0, 0)) * 21, 1)

    def endless():
        yield header(kind=b"S", patches={482: b"\1"})
        while True:
            yield extension

    with pytest.raises(InvalidArchive):
        Reader(endless()).next()


def test_sparse_files_of_gnu_tar_are_read():
    block = header(
        kind=b"S",
        size=512,
        patches={386: b"%011o\0%011o\0" % (1024, 512), 483: b"%011o\0" % 4096},
    )
    ((entry, content),) = read(block + b"d" * 512)
    assert (entry.holes, entry.length, content) == ([(1024, 512)], 4096, b"d" * 512)


def test_many_entries_take_no_memory():
    block = header(b"name", 0)
    tracemalloc.start()
    reader = Reader(block * 100 for _ in range(500))
    assert sum(1 for _ in reader) == 50_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


def test_an_archive_may_end_without_its_two_blocks():
    assert len(read(header())) == 1
    assert read(b"") == []


def test_content_that_shrinks_or_grows_keeps_the_size_of_its_header():
    assert b"".join(tarwriter.body([b"abc"], 5)) == b"abc\0\0" + bytes(507)
    assert b"".join(tarwriter.body([b"abc", b"defg"], 5)) == b"abcde" + bytes(507)


def test_every_prefix_of_an_archive_ends_or_is_refused():
    whole = pax(b"16 path=longname\n"[:17]) + header(size=600) + b"c" * 600 + tarwriter.padding(600)
    for end in range(0, len(whole), 97):
        try:
            read(whole[:end])
        except (InvalidArchive, UnexpectedEnd):
            continue
