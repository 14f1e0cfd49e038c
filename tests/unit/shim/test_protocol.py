from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.errors import InvalidRequest
from boxship.shim import protocol

messages = st.lists(
    st.tuples(
        st.builds(
            protocol.Signal, number=st.integers(0, 999), target=st.text(), signal=st.integers(1, 64)
        ),
        st.integers(0, 3),
    ),
    max_size=5,
)


@given(messages, st.integers(1, 30))
def test_messages_arrive_whole_with_their_descriptors_however_they_were_cut(sent, step):
    wire, fds = b"", []
    for message, count in sent:
        wire += protocol.encode(message, count)
        fds.append(list(range(len(wire), len(wire) + count)))
    inbox, got = protocol.Inbox(), []
    coming = [fd for some in fds for fd in some]
    for at in range(0, len(wire), step):
        got += inbox.feed(wire[at : at + step], coming if at == 0 else [])
    decoder = msgspec.msgpack.Decoder(protocol.Request)
    assert [(decoder.decode(e.body), e.fds) for e in got] == [
        (message, some) for (message, _), some in zip(sent, fds, strict=True)
    ]


@pytest.mark.parametrize(
    "wire", [b"\x02" + b"\0" * 7, b"\x01\0\0\0\xff\xff\xff\xff", b"GET / HTTP"]
)
def test_what_is_no_message_is_refused(wire):
    with pytest.raises(InvalidRequest):
        list(protocol.Inbox().feed(wire, []))


def test_members_of_a_later_version_are_passed_over():
    body = msgspec.msgpack.encode({"is": "oom", "kills": 2, "new": True})
    assert msgspec.msgpack.decode(body, type=protocol.Event) == protocol.Oom(kills=2)


def test_descriptors_of_a_half_message_are_given_back():
    inbox = protocol.Inbox()
    wire = protocol.encode(protocol.Forget(number=1, exec="a"), 1)
    assert list(inbox.feed(wire[:-1], [7])) == []
    assert inbox.abandon() == [7]
