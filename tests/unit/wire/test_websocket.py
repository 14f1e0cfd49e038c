"""Websocket frames: any cut, any size, and what breaks the protocol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.wire.websocket import Decoder, Opcode, ProtocolFault, accept, frame, unmask

MASK = b"\x11\x22\x33\x44"


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    plain = frame(Opcode(opcode), payload)
    header = plain[: len(plain) - len(payload)]
    first = header[0] if final else header[0] & 0x7F
    return bytes([first, header[1] | 0x80]) + header[2:] + MASK + unmask(payload, MASK, 0)


def test_the_greeting_is_proved_as_in_the_standard() -> None:
    assert accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@given(
    payloads=st.lists(st.binary(max_size=400), max_size=5),
    cut=st.integers(1, 1000),
)
def test_payload_reads_back_however_it_is_cut(payloads: list[bytes], cut: int) -> None:
    data = b"".join(masked(2, payload) for payload in payloads)
    decoder = Decoder()
    read = b"".join(
        piece.payload
        for at in range(0, len(data), cut)
        for piece in decoder.feed(data[at : at + cut])
    )
    assert read == b"".join(payloads)


def test_a_long_frame_passes_through_as_it_comes() -> None:
    data = masked(2, bytes(range(256)) * 400)
    decoder = Decoder()
    pieces = [p.payload for at in range(0, len(data), 9999) for p in decoder.feed(data[at:][:9999])]
    assert len(pieces) > 5
    assert b"".join(pieces) == bytes(range(256)) * 400


def test_a_ping_between_fragments_is_whole() -> None:
    data = masked(1, b"ab", final=False) + masked(9, b"?") + masked(0, b"cd")
    pieces = list(Decoder().feed(data))
    assert [(piece.opcode, piece.payload) for piece in pieces] == [
        (Opcode.TEXT, b"ab"),
        (Opcode.PING, b"?"),
        (Opcode.CONTINUATION, b"cd"),
    ]


@pytest.mark.parametrize(
    "data",
    [
        frame(Opcode.TEXT, b"unmasked....."),
        b"\xf2\x80" + MASK,
        b"\x83\x80" + MASK,
        masked(0, b"nothing to continue"),
        masked(1, b"a", final=False) + masked(1, b"b"),
        b"\x09\x80" + MASK,
        b"\x89\xfe\x01\x00" + MASK,
        b"\x82\xfe\x00\x05" + MASK,
        b"\x82\xff" + b"\xff" * 8 + MASK,
    ],
)
def test_what_breaks_the_protocol_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolFault):
        list(Decoder().feed(data))
