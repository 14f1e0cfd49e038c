"""HTTP/1.1 from the server's side, without a socket.

A request's head is cut from the stream by its empty line and only then handed to llhttp, which is
strict about it; so the first byte of the body, or of what follows an upgrade, is known exactly, and
a second request waits unread until the first has been answered. What two servers could read in two
ways (length and chunks at once, folded lines, bare line feeds) is refused.

    head:  METHOD SP target SP HTTP/1.x CRLF (name: value CRLF)* CRLF
    chunk: hex-size [; extension] CRLF bytes CRLF ... 0 CRLF (trailer CRLF)* CRLF
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import httptools

HEAD_LIMIT: Final = 256 << 10
HEADERS_LIMIT: Final = 200
CHUNK_LINE_LIMIT: Final = 1024
TRAILERS_LIMIT: Final = 16 << 10
USUAL: Final = 64  # signs of a header that other answers have too
HTTP2_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Names that carry one value; two of them would let two readers disagree.
SINGLE: Final = frozenset({"host", "content-length", "transfer-encoding", "content-type"})


class BadRequest(Exception):
    """The bytes are not a request that one could answer; the connection is lost with them."""

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class Head:
    """The first part of a request. Header names are in lower case; repeated values are joined."""

    method: str
    target: bytes
    headers: Mapping[str, str]
    minor: int  # of HTTP/1.x
    length: int | None  # of the body; None when it comes in chunks
    keep_alive: bool
    upgrade: str  # what the client offers to switch to, "" for nothing
    expects_continue: bool


class _Collector:
    """Takes llhttp's callbacks."""

    __slots__ = ("complete", "headers", "target", "trailing")

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = 0
        self.trailing = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete += 1

    def on_body(self, body: bytes) -> None:
        self.trailing = True


def parse_head(data: bytes) -> Head:
    """Read a request's head, from its first byte through its empty line."""
    seen = _Collector()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass  # the head is whole; who answers decides what becomes of the offer
    except httptools.HttpParserError as error:
        raise BadRequest(f"malformed HTTP request: {error}") from error
    if seen.complete != 1 or seen.trailing:
        raise BadRequest("malformed HTTP request")
    headers = _collect(seen.headers)
    version = parser.get_http_version()
    if version not in ("1.1", "1.0"):
        raise BadRequest("unsupported HTTP version", HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    minor = int(version[2])
    if minor and "host" not in headers:
        raise BadRequest("malformed HTTP request: missing required Host header")
    connection = headers.get("connection", "").lower()
    options = [option.strip() for option in connection.split(",")] if connection else []
    return Head(
        method=parser.get_method().decode("ascii"),
        target=seen.target,
        headers=headers,
        minor=minor,
        length=_body_length(headers, minor),
        keep_alive="close" not in options and (minor == 1 or "keep-alive" in options),
        upgrade=headers.get("upgrade", "") if "upgrade" in options else "",
        expects_continue=minor == 1 and headers.get("expect", "").lower() == "100-continue",
    )


def _collect(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    count = 0
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1").strip(" \t")
        if name not in headers:
            headers[name] = value
        elif name in SINGLE:
            raise BadRequest(f"malformed HTTP request: repeated {name} header")
        else:
            headers[name] += "; " + value if name == "cookie" else ", " + value
        count += 1
    if count > HEADERS_LIMIT:
        raise BadRequest("too many headers", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    return headers


def _body_length(headers: Mapping[str, str], minor: int) -> int | None:
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if minor == 0 or coding.lower() != "chunked" or "content-length" in headers:
            raise BadRequest("unsupported transfer encoding", HTTPStatus.NOT_IMPLEMENTED)
        return None
    digits = headers.get("content-length", "0")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
        raise BadRequest("malformed HTTP request: bad Content-Length")
    return int(digits)


class FixedBody:
    """The bytes of a body whose length was said beforehand."""

    __slots__ = ("_left",)

    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def done(self) -> bool:
        return not self._left

    @property
    def ahead(self) -> int:
        """How many of the next bytes are known to be payload."""
        return self._left

    def passed(self, size: int) -> None:
        """So many of these have been taken without being fed."""
        self._left -= size

    def feed(self, buffer: bytearray) -> bytes:
        """Take what belongs to the body out of `buffer` and return it."""
        with memoryview(buffer) as view:
            taken = bytes(view[: self._left])
        del buffer[: len(taken)]
        self._left -= len(taken)
        return taken


class ChunkedBody:
    """The bytes of a body that comes in chunks; trailers are read and dropped."""

    __slots__ = ("_left", "_trailers", "_waits_for", "done")

    def __init__(self) -> None:
        self.done = False
        self._waits_for = "size"
        self._left = 0
        self._trailers = 0

    @property
    def ahead(self) -> int:
        """How many of the next bytes are known to be payload."""
        return self._left if self._waits_for == "data" else 0

    def passed(self, size: int) -> None:
        """So many of these have been taken without being fed."""
        self._left -= size
        if not self._left:
            self._waits_for = "end"

    def feed(self, buffer: bytearray) -> bytes:
        """Take what belongs to the body out of `buffer` and return its payload."""
        spans: list[tuple[int, int]] = []
        at, size = 0, len(buffer)
        while at < size and not self.done:
            if self._waits_for == "data":
                end = min(at + self._left, size)
                spans.append((at, end))
                self._left -= end - at
                at = end
                if not self._left:
                    self._waits_for = "end"
                continue
            end = self._line(buffer, at)
            if end < 0:
                break
            self._take_line(bytes(buffer[at:end]))
            at = end + 2
        with memoryview(buffer) as view:
            payload = _joined(view, spans)
        del buffer[:at]
        return payload

    def _line(self, buffer: bytearray, at: int) -> int:
        """Return where the line that begins at `at` ends; -1 where it has not come yet."""
        end = buffer.find(b"\r\n", at, at + CHUNK_LINE_LIMIT + 2)
        if end < 0:
            if len(buffer) - at > CHUNK_LINE_LIMIT or buffer.find(b"\n", at) >= 0:
                raise BadRequest("malformed chunk")
            return -1
        line = buffer[at:end]
        if b"\n" in line or b"\r" in line or b"\0" in line:
            raise BadRequest("malformed chunk")
        return end

    def _take_line(self, line: bytes) -> None:
        match self._waits_for:
            case "size":
                digits = line.partition(b";")[0].rstrip(b" \t")
                if not 0 < len(digits) <= 15 or digits.strip(b"0123456789abcdefABCDEF"):
                    raise BadRequest("malformed chunk size")
                self._left = int(digits, 16)
                self._waits_for = "data" if self._left else "trailer"
            case "end":
                if line:
                    raise BadRequest("malformed chunk")
                self._waits_for = "size"
            case _:
                self._trailers += len(line)
                if self._trailers > TRAILERS_LIMIT:
                    raise BadRequest("trailers are too large")
                self.done = not line


def _joined(view: memoryview, spans: list[tuple[int, int]]) -> bytes:
    """Return what lies in some places of a buffer, copied once."""
    return b"".join([view[start:end] for start, end in spans])


Body = FixedBody | ChunkedBody


def body_of(head: Head) -> Body:
    """Return the reader of a request's body."""
    return ChunkedBody() if head.length is None else FixedBody(head.length)


_LINES: dict[int, bytes] = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


def response_head(status: int, headers: Iterable[tuple[str, str]], common: bytes = b"") -> bytes:
    """Return the first part of a response; `common` are header lines made before."""
    lines = [_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, common]
    for name, value in headers:
        lines.append((_line if len(value) > USUAL else _usual_line)(name, value))
    lines.append(b"\r\n")
    return b"".join(lines)


def _line(name: str, value: str) -> bytes:
    if "\r" in value or "\n" in value:
        raise ValueError(f"line break in header {name}")
    return f"{name}: {value}\r\n".encode("latin-1", "replace")


_usual_line: Final = lru_cache(64)(_line)


def chunk(data: bytes) -> bytes:
    """Return `data` as one chunk of a body; it must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK: Final = b"0\r\n\r\n"


def refuse_http2(reason: str) -> bytes:
    """Return what tells an HTTP/2 client that it is not served: SETTINGS, then GOAWAY.

    GOAWAY carries the last stream (0: none was worked on), HTTP_1_1_REQUIRED and words.
    """
    settings = b"\0\0\0\x04\0" + bytes(4)
    payload = bytes(4) + (0xD).to_bytes(4, "big") + reason.encode()
    return settings + len(payload).to_bytes(3, "big") + b"\x07\0" + bytes(4) + payload
