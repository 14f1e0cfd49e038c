"""A websocket as a plain stream: greeting, and a relay that wraps and unwraps."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from boxship.errors import InvalidRequest
from boxship.transport.upgrade import RELAY_BUFFER, Relay
from boxship.wire import http, websocket
from boxship.wire.websocket import Opcode


@dataclass(frozen=True, slots=True)
class Greeting:
    """How a client's greeting is answered."""

    headers: list[tuple[str, str]]
    binary: bool


def greet(head: http.Head) -> Greeting:
    """Answer a client that asks for a websocket; InvalidRequest when it does not."""
    headers = head.headers
    key = headers.get("sec-websocket-key", "")
    if head.upgrade.lower() != "websocket" or not _is_key(key):
        raise InvalidRequest("this path speaks websocket only")
    if headers.get("sec-websocket-version") != "13":
        raise InvalidRequest("unsupported websocket version")
    answer = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Accept", websocket.accept(key)),
    ]
    offered = [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",")]
    if "binary" in offered:
        answer.append(("Sec-WebSocket-Protocol", "binary"))
    return Greeting(answer, binary=True)


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


class WebsocketRelay(Relay):
    """The client's side of a pair: frames here, their payload there."""

    def __init__(self, *, binary: bool) -> None:
        super().__init__()
        self._decoder = websocket.Decoder()
        self._opcode = Opcode.BINARY if binary else Opcode.TEXT
        self._said_goodbye = False

    def data_received(self, data: bytes) -> None:
        try:
            for piece in self._decoder.feed(data):
                self._take(piece)
        except websocket.ProtocolFault as fault:
            self._goodbye(fault.code, str(fault))
            self._transport.close()

    def _take(self, piece: websocket.Piece) -> None:
        match piece.opcode:
            case Opcode.CLOSE:
                self._goodbye(1000)
                self._transport.close()
            case Opcode.PING:
                # One that reads no answers gets none: it may ask faster than there is memory.
                if self._transport.get_write_buffer_size() <= RELAY_BUFFER:
                    self._transport.write(websocket.frame(Opcode.PONG, piece.payload))
            case Opcode.PONG:
                pass
            case _:
                super().data_received(piece.payload)

    def send(self, data: bytes) -> None:
        if not self._said_goodbye:
            self._transport.write(websocket.frame(self._opcode, data))

    def end(self) -> None:
        self._goodbye(1000)
        self._transport.close()

    def _goodbye(self, code: int, reason: str = "") -> None:
        if not self._said_goodbye:
            self._said_goodbye = True
            self._transport.write(websocket.close_frame(code, reason))
