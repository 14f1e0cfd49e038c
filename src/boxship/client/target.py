"""Where an engine is, and how to prove to it who we are."""

from __future__ import annotations

from boxship.client.errors import BadAddress

DEFAULT_SOCKET = "/run/boxship.sock"
DEFAULT_HOST = "unix://" + DEFAULT_SOCKET
PLAIN_PORT = 2375
TLS_PORT = 2376


class TLS:
    """The files of a TLS connection; `verify` False accepts any certificate."""

    __slots__ = ("ca", "certificate", "key", "verify")

    def __init__(self, ca: str, certificate: str, key: str, *, verify: bool) -> None:
        self.ca = ca
        self.certificate = certificate
        self.key = key
        self.verify = verify


class Target:
    """A parsed address: `unix` has a path, `tcp` a host and port, `ssh` a whole URL."""

    __slots__ = ("host", "path", "port", "scheme", "tls", "url")

    def __init__(self, url: str = DEFAULT_HOST, tls: TLS | None = None) -> None:
        scheme, separator, rest = url.partition("://")
        if not separator or not rest:
            raise BadAddress(f"unable to parse docker host `{url}`")
        self.url = url
        self.scheme = scheme
        self.tls = tls
        self.host = ""
        self.port = 0
        self.path = ""
        match scheme:
            case "unix":
                self.path = rest
            case "tcp" | "http" | "https":
                self._split(rest)
            case "ssh":
                self.host = rest
            case _:
                raise BadAddress(f"invalid bind address format: {url}")

    def _split(self, rest: str) -> None:
        place = rest.partition("/")[0]
        default = TLS_PORT if self.tls or self.scheme == "https" else PLAIN_PORT
        host, separator, port = place.rpartition(":")
        if place.startswith("[") and place.endswith("]"):
            host, separator, port = place, "", ""
        elif not separator:
            host, port = place, ""
        if port and not port.isdecimal():
            raise BadAddress(f"invalid bind address format: {self.url}")
        self.host = host.strip("[]") or "127.0.0.1"
        self.port = int(port) if port else default
