"""A few pages served to one person's browser, until the command is interrupted.

What they show is a stranger's as much as the caller's: names of steps, output, attachments. So

- nothing but GET is answered, and nothing is loaded or run by a page (its security policy);
- the path begins with a secret, since a port of the loopback is open to everyone on the machine;
- the name by which the server was called is an address, `localhost` or the one it was told: no
  other page can have its visitor's browser read here under a name of its own.
"""

from __future__ import annotations

import ipaddress
import secrets
import select
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

from boxship.cli.signals import Signals
from boxship.errors import InvalidRequest

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

LOOPBACK: Final = "127.0.0.1"
HTML: Final = "text/html; charset=utf-8"
PLAIN: Final = "text/plain; charset=utf-8"
CSS: Final = "text/css; charset=utf-8"
PATIENCE: Final = 10.0  # seconds for a request to arrive
OFTEN: Final = 0.1  # seconds between looks whether to stop
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered: text, and of what kind it is."""

    text: str
    kind: str = HTML


def serve(shell: Shell, what: str, address: str, pages: Mapping[str, Page]) -> int:
    """Serve pages by their names, the first one named "", until somebody interrupts."""
    host, port = _split(address)
    secret = secrets.token_urlsafe(16)
    with Signals(("INT", "TERM", "HUP")) as signals, _listening(host, port) as server:
        server.pages = {f"/{secret}/{name}": page for name, page in pages.items()}
        threading.Thread(target=server.serve_forever, args=(OFTEN,), daemon=True).start()
        try:
            shown = f"[{host}]" if ":" in host else host
            shell.out.line(f"{what} available at http://{shown}:{server.server_port}/{secret}/")
            shell.out.flush()
            select.select([signals.descriptor], [], [])
        finally:
            server.shutdown()
    return 0


def _split(address: str) -> tuple[str, int]:
    """Read `HOST:PORT`; no host is the loopback."""
    host, colon, port = address.rpartition(":")
    if not colon or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise InvalidRequest(f"invalid address {address!r}: it is HOST:PORT")
    return host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port)


def _listening(host: str, port: int) -> _Server:
    try:
        return _Server(host, port)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidRequest(f"cannot listen on {host}:{port}: {reason}") from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.pages: Mapping[str, Page] = {}
        self.names = {host.lower(), "localhost"}
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking anybody for the host's name, as the base class would."""
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def handle_error(self, request: object, client_address: object) -> None:
        """A visitor that goes away or talks nonsense is nobody's concern."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE
    server_version = "boxship"
    sys_version = ""

    def do_GET(self) -> None:
        if not _is_known(self.headers.get_all("Host") or [], self.server.names):
            self._answer(HTTPStatus.MISDIRECTED_REQUEST, Page("called by a wrong name\n", PLAIN))
        elif (page := self.server.pages.get(self.path)) is None:
            self._answer(HTTPStatus.NOT_FOUND, Page("there is no such page\n", PLAIN))
        else:
            self._answer(HTTPStatus.OK, page)

    def do_other(self) -> None:
        self._answer(HTTPStatus.METHOD_NOT_ALLOWED, Page("pages are only read\n", PLAIN))

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_other  # noqa: N815

    def _answer(self, status: HTTPStatus, page: Page) -> None:
        data = page.text.encode("utf-8", "replace")
        self.send_response(status)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET")
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", page.kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads who came."""


def _is_known(said: list[str], names: set[str]) -> bool:
    """Tell whether a Host header calls the server by one of its names, or by an address."""
    if len(said) != 1:
        return False
    host = said[0].strip().lower()
    if not host.endswith("]"):
        name, colon, port = host.rpartition(":")
        host = name if colon and port.isdecimal() else host
    if host in names:
        return True
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True
