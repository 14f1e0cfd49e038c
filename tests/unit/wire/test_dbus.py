"""D-Bus messages: written as the specification has it, read with care."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from boxship.wire import dbus


def reply(signature: str, *values: object, error: str = "") -> bytes:
    """Return an answer as the other side would write it."""
    body = dbus._Writer()
    for one, value in zip(dbus.parts(signature), values, strict=True):
        body.put(one, value)
    fields: list[object] = [(dbus.REPLY_SERIAL, ("u", 7))]
    if signature:
        fields.append((dbus.SIGNATURE, ("g", signature)))
    if error:
        fields.append((dbus.ERROR_NAME, ("s", error)))
    kind = dbus.ERROR if error else dbus.RETURN
    head = dbus._Writer(struct.pack("<BBBBII", ord("l"), kind, 0, 1, len(body.data), 1))
    head.put("a(yv)", fields)
    head.align(8)
    return bytes(head.data + body.data)


def test_a_call_is_as_the_specification_has_it() -> None:
    data = dbus.call(1, "/a", "b.C", "D", "su", "x", 5)
    assert data[:12] == b"l\x01\0\x01" + struct.pack("<II", 12, 1)
    assert dbus.length(data[:16]) == len(data)
    assert data[16:26] == b"\x01\x01o\0\x02\0\0\0/a"
    assert data[-12:] == b"\x01\0\0\0x\0\0\0\x05\0\0\0"
    assert len(data) % 4 == 0


def test_what_is_written_is_read() -> None:
    signature = "sbta(sv)a(sa(sv))auyg"
    values: tuple[Any, ...] = (
        "name", 1, 1 << 60, [("A", ("s", "b")), ("C", ("au", [1, 2, 3]))], [], [4], 255, "a(sv)",
    )  # fmt: skip
    message = dbus.read(reply(signature, *values))
    assert (message.type, message.reply_to, message.error) == (dbus.RETURN, 7, "")
    assert message.body == (
        "name", 1, 1 << 60, [("A", "b"), ("C", [1, 2, 3])], [], [4], 255, "a(sv)",
    )  # fmt: skip


def test_an_error_is_read() -> None:
    message = dbus.read(reply("s", "no such thing", error="org.x.NoSuch"))
    assert (message.type, message.error, message.body) == (
        dbus.ERROR, "org.x.NoSuch", ("no such thing",),
    )  # fmt: skip


def test_what_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(dbus.BadMessage):
        dbus.length(struct.pack("<BBBBIII", ord("l"), 2, 0, 1, 1 << 30, 1, 0))
    with pytest.raises(dbus.BadMessage):
        dbus.length(b"B" + bytes(15))


def test_whatever_comes_is_a_message_or_none() -> None:
    pick = random.Random(3)
    good = reply("sa(sv)au", "x" * 9, [("A", ("s", "b"))], [1, 2])
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(pick.randrange(1, 5)):
            data[pick.randrange(len(data))] = pick.randrange(256)
        try:
            dbus.read(bytes(data[: pick.randrange(16, len(data) + 1)]))
        except dbus.BadMessage:
            pass
