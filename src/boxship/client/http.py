"""HTTP/1.1 from the caller's side: one connection, one request at a time.

A response's body is read as it comes; once it was read to its end, the connection can be used
again.
"""

from __future__ import annotations

from boxship.client.errors import BrokenAnswer, EngineError, OldEngine
from boxship.lib import quickjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from boxship.client.dial import Socket

    type_of_body = bytes | Iterable[bytes] | None

CHUNK = 256 * 1024
LONGEST_HEAD = 64 * 1024
LONGEST_LINE = 1024
LONGEST_DOCUMENT = 256 << 20
MSG_PEEK = 2
MSG_DONTWAIT = 0x40
END_OF_HEAD = b"\r\n\r\n"


class Connection:
    """A connection and what has been read from it but not yet used."""

    __slots__ = ("pending", "reused", "socket")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.pending = bytearray()
        self.reused = False

    def send(
        self,
        method: str,
        path: str,
        headers: Iterable[tuple[str, str]],
        body: type_of_body = None,
    ) -> None:
        """Send a request; a body that is not bytes goes out in chunks as it is produced."""
        lines = [f"{method} {path} HTTP/1.1"]
        lines.extend(f"{name}: {value}" for name, value in headers)
        if body is None:
            if method == "POST":
                lines.append("Content-Length: 0")
        elif isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        else:
            lines.append("Transfer-Encoding: chunked")
        head = "\r\n".join(lines).encode("utf-8", "surrogateescape") + END_OF_HEAD
        if isinstance(body, bytes):
            self.socket.sendall(head + body)
            return
        self.socket.sendall(head)
        if body is not None:
            self._send_chunks(body)

    def _send_chunks(self, body: Iterable[bytes]) -> None:
        send = self.socket.sendall
        try:
            for piece in body:
                if piece:
                    send(b"%x\r\n" % len(piece))
                    send(piece)
                    send(b"\r\n")
            send(b"0\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # the engine has said enough already; its answer is waiting to be read

    def receive(self) -> Response:
        """Read a response's head, passing over interim ones."""
        while True:
            status, headers = self._head()
            if status >= 200 or status == 101:
                return Response(self, status, headers)

    def _head(self) -> tuple[int, dict[str, str]]:
        pending = self.pending
        while (end := pending.find(END_OF_HEAD)) < 0:
            if len(pending) > LONGEST_HEAD:
                raise BrokenAnswer("the engine's answer has no end of its headers")
            if not self.fill():
                raise BrokenAnswer("the engine closed the connection without an answer")
        lines = pending[:end].decode("latin-1").split("\r\n")
        del pending[: end + 4]
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
            raise BrokenAnswer("what answers there does not speak HTTP")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(words[1]), headers

    def fill(self) -> bool:
        """Read some more; False at the end of the connection."""
        try:
            data = self.socket.recv(CHUNK)
        except ConnectionResetError:
            return False
        self.pending += data
        return bool(data)

    def is_alive(self) -> bool:
        """Tell whether a connection that rests can take another request."""
        if self.pending:
            return False
        try:
            self.socket.recv(1, MSG_PEEK | MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except (OSError, ValueError):  # TLS sockets take no flags
            return False
        return False

    def close(self) -> None:
        self.socket.close()


class Response:
    """An answer: its head, and its body as far as it has come."""

    __slots__ = ("_chunked", "_left", "connection", "done", "headers", "on_done", "status")

    def __init__(self, connection: Connection, status: int, headers: dict[str, str]) -> None:
        self.connection = connection
        self.status = status
        self.headers = headers
        self.on_done: Connection | None = None
        self._chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length", "")
        self._left = int(length) if length.isdecimal() and not self._chunked else -1
        self.done = False
        if status in (204, 304):
            self._left = 0
        if self._left == 0:
            self.done = True

    def no_body(self) -> Response:
        """Say that this answers a HEAD request."""
        self.done = True
        return self

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it comes, in pieces of any size."""
        while not self.done:
            piece = self._some()
            if piece:
                yield piece

    def _some(self) -> bytes:
        if self._chunked:
            return self._some_chunks()
        pending = self.connection.pending
        if not pending and not self.connection.fill():
            self.done = True
            if self._left > 0:
                raise BrokenAnswer("the engine's answer ended in the middle")
            return b""
        if self._left < 0 or len(pending) <= self._left:
            piece = bytes(pending)
            pending.clear()
        else:
            piece = bytes(pending[: self._left])
            del pending[: self._left]
        if self._left >= 0:
            self._left -= len(piece)
            self.done = self._left == 0
        return piece

    def _some_chunks(self) -> bytes:
        """Return what is here of the chunks: all whole ones, or part of a long one."""
        pending = self.connection.pending
        parts: list[bytes] = []
        at = 0
        while True:
            if self._left > 0:
                end = min(len(pending), at + self._left)
                if end > at:
                    parts.append(bytes(memoryview(pending)[at:end]))
                    self._left -= end - at
                    at = end
                if self._left:
                    break
                self._left = -2
            if self._left == -2:  # the line end after a chunk's data
                if len(pending) < at + 2:
                    break
                at += 2
                self._left = -1
            line_end = pending.find(b"\r\n", at, at + LONGEST_LINE)
            if line_end < 0:
                if len(pending) - at >= LONGEST_LINE:
                    raise BrokenAnswer("the engine's answer has a broken chunk")
                break
            try:
                size = int(bytes(pending[at:line_end]).split(b";")[0], 16)
            except ValueError:
                raise BrokenAnswer("the engine's answer has a broken chunk") from None
            if size == 0:
                finish = pending.find(b"\r\n", line_end + 2)
                if finish < 0:
                    break
                at = len(pending) if finish != line_end + 2 else line_end + 4
                self.done = True
                break
            at = line_end + 2
            self._left = size
        del pending[:at]
        if not parts and not self.done and not self.connection.fill():
            self.done = True
            raise BrokenAnswer("the engine's answer ended in the middle")
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def read(self, limit: int = LONGEST_DOCUMENT) -> bytes:
        """Return the whole body; BrokenAnswer when it is longer than `limit`."""
        whole = bytearray()
        for piece in self.chunks():
            whole += piece
            if len(whole) > limit:
                raise BrokenAnswer(f"the engine's answer is longer than {limit} bytes")
        return bytes(whole)

    def text(self) -> str:
        return self.read().decode("utf-8", "surrogateescape")

    def check(self) -> Response:
        """Raise EngineError when the engine refused."""
        if self.status >= 400:
            raise failure_of(self)
        return self


def failure_of(response: Response) -> EngineError | OldEngine:
    """Return the error that a response reports, in the engine's words."""
    body = response.read(1 << 20).decode("utf-8", "replace").strip()
    try:
        message = quickjson.decode(body)["message"]
    except (ValueError, KeyError, TypeError):
        message = body or f"request returned HTTP status {response.status}"
    return EngineError(response.status, str(message).strip())


def messages(response: Response) -> Iterator[dict[str, object]]:
    """Yield the JSON documents of a stream as each is complete."""
    import codecs

    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = ""
    for piece in response.chunks():
        text += decoder.decode(piece)
        # Every engine ends a document with a line end, so whole lines hold whole documents.
        whole, mark, rest = text.rpartition("\n")
        if not mark:
            continue
        yield from documents(whole)
        text = rest
    if text.strip():
        yield from documents(text)


def documents(text: str) -> Iterator[dict[str, object]]:
    """Yield the JSON documents that follow each other in `text`."""
    at = 0
    text = text.strip().strip("\x1e")
    while at < len(text):
        value, at = quickjson.decode_first(text, at)
        while at < len(text) and text[at] == "\x1e":
            at += 1
        if isinstance(value, dict):
            yield value
