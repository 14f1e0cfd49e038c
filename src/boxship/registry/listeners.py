"""Sockets that the registry listens on, and TLS for them."""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

from boxship.registry.config import BadConfig, Http, Tls

BACKLOG: Final = 1024
DEFAULT_PORT: Final = 5000
VERSIONS: Final = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}
CLIENTS: Final = {
    "request-client-cert": ssl.CERT_OPTIONAL,
    "verify-client-cert-if-given": ssl.CERT_OPTIONAL,
    "require-any-client-cert": ssl.CERT_REQUIRED,
    "require-and-verify-client-cert": ssl.CERT_REQUIRED,
}


def open_socket(net: str, addr: str) -> socket.socket:
    """Bind where the configuration says: `:5000`, `127.0.0.1:5000`, `[::]:5000`, or a path."""
    try:
        if net == "unix":
            return _open_unix(addr)
        host, port = split(addr)
        if not host and socket.has_dualstack_ipv6():
            family = socket.AF_INET6
            return socket.create_server(
                ("::", port), family=family, dualstack_ipv6=True, backlog=BACKLOG
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise BadConfig(f"cannot listen on {addr}: {error.strerror or error}") from error


def split(addr: str) -> tuple[str, int]:
    """Read `host:port`."""
    host, colon, port = addr.rpartition(":")
    if not colon:
        host, port = addr, str(DEFAULT_PORT)
    if not port.isdigit() or int(port) > 65535:
        raise BadConfig(f"configuration: http.addr: {addr!r} is not an address")
    return host.strip("[]"), int(port)


def _open_unix(path: str) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        if os.path.exists(path):
            os.unlink(path)
        made.bind(path)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made


def tls_context(section: Tls) -> ssl.SSLContext | None:
    """Return what encrypts connections, where the configuration says so."""
    if not section.certificate and not section.key:
        return None
    if not section.certificate or not section.key:
        raise BadConfig("configuration: http.tls: certificate and key belong together")
    if section.minimumtls not in VERSIONS:
        raise BadConfig(f"configuration: http.tls.minimumtls: one of {', '.join(VERSIONS)}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[section.minimumtls]
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, section)
    try:
        if section.ciphersuites:
            context.set_ciphers(":".join(section.ciphersuites))
        for bundle in section.clientcas:
            context.load_verify_locations(bundle)
    except (OSError, ssl.SSLError) as error:
        raise BadConfig(f"configuration: http.tls: {error}") from error
    if section.clientcas:
        if section.clientauth not in CLIENTS:
            raise BadConfig(f"configuration: http.tls.clientauth: one of {', '.join(CLIENTS)}")
        context.verify_mode = CLIENTS[section.clientauth]
    return context


def load_certificate(context: ssl.SSLContext, section: Tls) -> None:
    """Read certificate and key, at the start and again when they have been renewed."""
    try:
        context.load_cert_chain(section.certificate, section.key)
    except (OSError, ssl.SSLError) as error:
        raise BadConfig(f"configuration: http.tls: {section.certificate}: {error}") from error


def headers_of(section: Http) -> bytes:
    """Return the header lines of every answer."""
    lines = ["Docker-Distribution-Api-Version: registry/2.0", "X-Content-Type-Options: nosniff"]
    for name, values in section.headers.items():
        if name.lower() == "x-content-type-options":
            continue
        for value in [values] if isinstance(values, str) else values:
            if any(char in name + value for char in "\r\n\0") or not name.isascii():
                raise BadConfig(f"configuration: http.headers: {name!r} cannot be a header")
            lines.append(f"{name}: {value}")
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1", "replace")
