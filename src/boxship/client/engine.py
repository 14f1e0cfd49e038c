"""An engine: calls, streams and taken-over connections, at a version both sides know."""

from __future__ import annotations

from boxship.client.dial import connect
from boxship.client.errors import BrokenAnswer, CannotConnect, OldEngine
from boxship.client.http import Connection, Response
from boxship.lib import quickjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Any

    from boxship.client.containers import Containers
    from boxship.client.dial import Socket
    from boxship.client.execs import Execs
    from boxship.client.images import Images
    from boxship.client.networks import Networks
    from boxship.client.system import System
    from boxship.client.target import Target
    from boxship.client.volumes import Volumes

NEWEST = (1, 56)
OLDEST = (1, 24)
USER_AGENT = "Boxship-Client/0.1.0 (linux)"
UNRESERVED = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~")


class Stream:
    """A connection that has stopped being HTTP: bytes in both directions."""

    __slots__ = ("content_type", "pending", "socket")

    def __init__(self, socket: Socket, pending: bytes, content_type: str) -> None:
        self.socket = socket
        self.pending = pending
        self.content_type = content_type


class Engine:
    """Calls to one engine. The version is agreed on before the first, unless it was fixed."""

    def __init__(
        self,
        target: Target,
        *,
        version: str = "",
        headers: Mapping[str, str] | None = None,
        revive: Callable[[], None] | None = None,
        ours: bool = False,
    ) -> None:
        """`revive` is tried once when nobody answers at the target.

        An engine that is `ours` came with this client: it is spoken to in the newest version at
        once, and only asked for its own when it turns out to be an older one still running.
        """
        self.target = target
        self.fixed_version = version
        self.daemon: dict[str, str] = {}
        self._headers = {"Host": _host(target), "User-Agent": USER_AGENT, **(headers or {})}
        self._version = version
        self._resting: list[Connection] = []
        self._revive = revive
        self._assumed = ours and not version
        if self._assumed:
            self._version = show_version(NEWEST)

    # Parts

    @property
    def containers(self) -> Containers:
        from boxship.client.containers import Containers

        return Containers(self)

    @property
    def execs(self) -> Execs:
        from boxship.client.execs import Execs

        return Execs(self)

    @property
    def images(self) -> Images:
        from boxship.client.images import Images

        return Images(self)

    @property
    def volumes(self) -> Volumes:
        from boxship.client.volumes import Volumes

        return Volumes(self)

    @property
    def networks(self) -> Networks:
        from boxship.client.networks import Networks

        return Networks(self)

    @property
    def system(self) -> System:
        from boxship.client.system import System

        return System(self)

    # Versions

    @property
    def version(self) -> str:
        """Return the API version in use, asking the engine when this is the first call."""
        if not self._version:
            self.negotiate()
        return self._version

    def at_least(self, version: str) -> bool:
        """Tell whether the version in use has what came with `version`."""
        return parse_version(self.version) >= parse_version(version)

    def negotiate(self) -> None:
        """Ask the engine who it is and settle on the newest version both know."""
        response = self._exchange("HEAD", "/_ping", {}, None).no_body()
        self._rest(response)
        self.daemon = response.headers
        self._assumed = False
        if self.fixed_version:
            return
        theirs = parse_version(response.headers.get("api-version", "") or "1.24")
        if theirs < OLDEST:
            raise OldEngine(
                f"the engine's API version {show_version(theirs)} is too old; "
                f"this client needs {show_version(OLDEST)} or newer"
            )
        self._version = show_version(min(NEWEST, theirs))

    # Calls

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        *,
        stream: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a call and return its answer, the body unread; EngineError when it is refused."""
        sent: dict[str, str] = dict(headers or {})
        data: bytes | Iterable[bytes] | None = stream
        if body is not None:
            data = quickjson.encode(body).encode("utf-8", "surrogateescape")
            sent["Content-Type"] = "application/json"
        if self._assumed and stream is not None:
            self.negotiate()  # what is produced as it is sent cannot be sent twice
        where = f"{path}{query_text(query)}"
        response = self._exchange(method, f"/v{self.version}{where}", sent, data)
        if self._is_older(response):
            response = self._exchange(method, f"/v{self.version}{where}", sent, data)
        if method == "HEAD":
            response.no_body()
            self._rest(response)
            return response
        response.check()
        self._assumed = False
        return response

    def call(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a call and return the document it answers, None when there is none."""
        text = self.call_text(method, path, query, body, headers=headers)
        return quickjson.decode(text) if text.strip() else None

    def call_text(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Like `call`, but the document stays as it was sent."""
        response = self.request(method, path, query, body, headers=headers)
        text = response.text()
        self._rest(response)
        return text

    def read(self, response: Response) -> bytes:
        """Return the whole body of an answer, and keep its connection for the next call."""
        data = response.read()
        self._rest(response)
        return data

    def messages(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        *,
        stream: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[dict[str, object]]:
        """Send a call and yield the documents of its answer as they come."""
        from boxship.client.http import messages

        return messages(self.request(method, path, query, stream=stream, headers=headers))

    def hijack(
        self,
        path: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
        *,
        protocol: str = "tcp",
        offers: Iterable[tuple[str, str]] = (),
    ) -> Stream:
        """Send a POST and take the connection over: what follows the answer's head is a stream.

        `offers` are headers of its own, in order. One name may come several times, each in a line:
        Docker's engine takes no list in one.
        """
        where = f"/v{self.version}{path}{query_text(query)}"
        connection = Connection(connect(self.target))
        data = b"" if body is None else quickjson.encode(body).encode("utf-8", "surrogateescape")
        headers = {**self._headers, "Connection": "Upgrade", "Upgrade": protocol}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.send("POST", where, [*headers.items(), *offers], data)
        response = connection.receive().check()
        if response.status not in (101, 200):
            raise BrokenAnswer(f"unable to upgrade to {protocol}, received {response.status}")
        pending = bytes(connection.pending)
        return Stream(connection.socket, pending, response.headers.get("content-type", ""))

    def _is_older(self, response: Response) -> bool:
        """Tell whether an answer means that the assumed version was too new, and ask for theirs."""
        if not self._assumed or response.status != 400:
            return False
        self.negotiate()
        return self._version != show_version(NEWEST)

    def _exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
    ) -> Response:
        connection = self._connection()
        connection.send(method, path, {**self._headers, **headers}.items(), body)
        return connection.receive()

    def _connection(self) -> Connection:
        while self._resting:
            connection = self._resting.pop()
            if connection.is_alive():
                return connection
            connection.close()
        try:
            return Connection(connect(self.target))
        except CannotConnect:
            revive, self._revive = self._revive, None
            if revive is None:
                raise
        revive()
        return Connection(connect(self.target))

    def _rest(self, response: Response) -> None:
        """Keep a connection whose answer has been read to its end for the next call."""
        if response.done and response.headers.get("connection", "").lower() != "close":
            self._resting.append(response.connection)
        else:
            response.connection.close()


def _host(target: Target) -> str:
    return f"{target.host}:{target.port}" if target.port else "api.moby.localhost"


def parse_version(text: str) -> tuple[int, int]:
    """Read `1.41`; OldEngine when it is no version."""
    major, _, minor = text.partition(".")
    try:
        return int(major), int(minor)
    except ValueError:
        raise OldEngine(f"invalid API version: {text!r}") from None


def show_version(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def escape(text: str) -> str:
    """Return `text` as part of a path or query."""
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(byte) if byte in UNRESERVED else f"%{byte:02X}" for byte in data)


def query_text(query: Mapping[str, object] | None) -> str:
    """Return `?a=1&b=2`; values that are None, False or empty are left out."""
    if not query:
        return ""
    parts: list[str] = []
    for name, value in query.items():
        if value is None or value is False or value == "":
            continue
        for item in value if isinstance(value, list | tuple) else (value,):
            shown = "1" if item is True else str(item)
            parts.append(f"{name}={escape(shown)}")
    return "?" + "&".join(parts) if parts else ""


def filters_text(filters: Mapping[str, Iterable[str]] | None) -> str:
    """Return filters as the API takes them, empty for none."""
    if not filters:
        return ""
    found = {key: dict.fromkeys(values, True) for key, values in filters.items()}
    return quickjson.encode({key: found[key] for key in sorted(found)})
