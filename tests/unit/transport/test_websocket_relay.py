"""A websocket's frames on one side, their payload on the other."""

from __future__ import annotations

from tests.support.pipes import StuckTransport

from boxship.transport.upgrade import RELAY_BUFFER, Relay
from boxship.transport.websocket import WebsocketRelay

MASKED_PING = b"\x89\xfd" + bytes(4) + bytes(125)
MASKED_WORD = b"\x82\x84" + bytes(4) + b"word"


def test_who_reads_no_answers_to_pings_gets_no_more_and_is_heard_on() -> None:
    client, engine = WebsocketRelay(binary=True), Relay()
    stuck, inside = StuckTransport(), StuckTransport()
    client.connection_made(stuck)
    engine.connection_made(inside)
    client.join(engine)
    for _ in range(100):
        client.data_received(100 * MASKED_PING + MASKED_WORD)
    assert stuck.unread < 2 * RELAY_BUFFER
    assert inside.unread == 100 * len(b"word")
