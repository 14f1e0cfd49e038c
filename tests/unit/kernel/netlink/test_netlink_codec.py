"""Netlink messages: what is written reads back, and no bytes confuse the reader."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from boxship.kernel.netlink import codec
from boxship.kernel.netlink.codec import HEADER, attribute, attributes, messages, nested


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=300)), max_size=20))
def test_attributes_read_back(written):
    data = b"".join(attribute(kind, value) for kind, value in written)
    assert len(data) % 4 == 0
    assert list(attributes(data)) == written
    assert list(attributes(nested(7, data)[4:])) == written


@given(st.lists(st.tuples(st.integers(0, 65535), st.binary(max_size=300)), max_size=10))
def test_messages_read_back(written):
    data = b"".join(
        HEADER.pack(HEADER.size + len(body), kind, 0, 9, 0) + body + b"\0" * (-len(body) % 4)
        for kind, body in written
    )
    assert [(one.type, one.body) for one in messages(data)] == written


@given(st.binary(max_size=400))
def test_any_bytes_end(data):
    list(messages(data))
    list(attributes(data))
    codec.attribute_map(data)
