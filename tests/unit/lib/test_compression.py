"""Packed streams: known by their start, the same however they are cut, broken ones refused."""

import bz2
import gzip
import lzma
import os

import pytest
import zstandard

from boxship.lib import compression
from boxship.lib.compression import Compression, InvalidCompression

DATA = os.urandom(30_000) + bytes(3_000_000) + b"text" * 10_000
PACK = {
    Compression.GZIP: gzip.compress,
    Compression.BZIP2: bz2.compress,
    Compression.XZ: lzma.compress,
    Compression.ZSTD: zstandard.ZstdCompressor(3).compress,
}


def cut(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("size", [7, 999, 1 << 20])
def test_a_stream_unpacks_however_it_is_cut(kind, size):
    found, pieces = compression.unpacked(cut(PACK[kind](DATA), size))
    assert (found, b"".join(pieces)) == (kind, DATA)


@pytest.mark.parametrize("kind", PACK)
def test_members_follow_each_other(kind):
    twice = PACK[kind](DATA) * 2
    assert b"".join(compression.decompress(cut(twice, 1000))) == DATA * 2


@pytest.mark.parametrize("kind", PACK)
def test_a_stream_that_ends_early_is_refused(kind):
    packed = PACK[kind](DATA)
    for size in (len(packed) - 3, len(packed) // 2):
        with pytest.raises(InvalidCompression, match="unexpected EOF"):
            list(compression.decompress([packed[:size]]))


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_zstd_stream_may_end_only_where_a_frame_does(checksum, size):
    """The library takes a frame without its end for a short one: files were missing, silently."""
    packer = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=checksum)
    skippable = b"\x53\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"aside"
    frames = [packer.compress(DATA), skippable, packer.compress(b""), packer.compress(b"tail" * 99)]
    whole = b"".join(frames)
    ends = {sum(map(len, frames[:count])) for count in range(len(frames) + 1)}
    for end in {*ends, *(end - 1 for end in ends if end), len(frames[0]) // 2, len(whole) - 5}:
        pieces = compression.decompress(cut(whole[:end], size))
        if end in ends:
            list(pieces)
            continue
        with pytest.raises(InvalidCompression, match="unexpected EOF"):
            list(pieces)


def test_damage_is_refused():
    packed = bytearray(gzip.compress(DATA))
    packed[20_000] ^= 1
    with pytest.raises(InvalidCompression):
        list(compression.decompress([bytes(packed)]))


@pytest.mark.parametrize("data", [b"", b"x", DATA])
def test_what_is_not_packed_passes(data):
    found, pieces = compression.unpacked(cut(data, 3000))
    assert (found, b"".join(pieces)) == (Compression.NONE, data)


def test_a_window_larger_than_allowed_is_refused():
    parameters = zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    packer = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = packer.compress(os.urandom(1 << 20) * 2) + packer.flush()
    with pytest.raises(InvalidCompression, match="zstd"):
        list(compression.decompress([packed]))


def test_packing_does_not_depend_on_the_cuts():
    whole = b"".join(compression.gzip([DATA]))
    assert b"".join(compression.gzip(cut(DATA, 1234))) == whole
    assert b"".join(compression.gzip(cut(DATA, 300_001))) == whole
    assert gzip.decompress(whole) == DATA
