"""Engines on other machines: TCP, TLS and ssh."""

from __future__ import annotations

import os
import select
import shutil
import socket
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from boxship.client.errors import BadAddress, CannotConnect

if TYPE_CHECKING:
    from boxship.client.dial import Socket
    from boxship.client.target import TLS, Target

CONNECT_SECONDS = 30.0
RELAYED = 64 * 1024
MOST_WAITING = 256 * 1024
# The far side has our command, or only Docker's.
DIAL_STDIO = (
    "if command -v boxship >/dev/null 2>&1; then exec boxship{host} system dial-stdio; "
    "else exec docker{host} system dial-stdio; fi"
)


def connect_remote(target: Target) -> Socket:
    """Return a connected socket; CannotConnect when nobody listens."""
    if target.scheme == "ssh":
        return cast("Socket", connect_ssh(target))
    try:
        plain = socket.create_connection((target.host, target.port), CONNECT_SECONDS)
    except ConnectionRefusedError as error:
        raise CannotConnect(target.url) from error
    except OSError as error:
        raise CannotConnect(target.url, error.strerror or str(error)) from error
    plain.settimeout(None)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if target.tls is None and target.scheme != "https":
        return cast("Socket", plain)
    try:
        return cast("Socket", _secure(plain, target))
    except (OSError, ssl.SSLError) as error:
        plain.close()
        raise CannotConnect(target.url, str(error)) from error


def _secure(plain: socket.socket, target: Target) -> ssl.SSLSocket:
    context = context_of(target.tls)
    return context.wrap_socket(plain, server_hostname=target.host)


def context_of(tls: TLS | None) -> ssl.SSLContext:
    """Return a connection's settings: TLS 1.2 or newer, the given CA alone if one is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls is None:
        context.load_default_certs()
        return context
    if tls.verify:
        context.load_verify_locations(cafile=tls.ca)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if os.path.exists(tls.certificate) and os.path.exists(tls.key):
        context.load_cert_chain(tls.certificate, tls.key)
    return context


def ssh_command(url: str) -> list[str]:
    """Return the command that makes the far engine's socket its standard input and output."""
    parts = urlsplit(url)
    if parts.password:
        raise BadAddress("plain-text password is not supported in an ssh:// address")
    if not parts.hostname or parts.hostname.startswith("-"):
        raise BadAddress(f"no host in {url}")
    if parts.query or parts.fragment:
        raise BadAddress(f"extra query or fragment in {url}")
    command = ["ssh", "-o", "ConnectTimeout=30", "-T"]
    if parts.username:
        command += ["-l", parts.username]
    if parts.port:
        command += ["-p", str(parts.port)]
    host = ""
    if parts.path.strip("/"):
        quoted = parts.path.replace("'", "'\\''")
        host = f" --host 'unix://{quoted}'"
    return [*command, "--", parts.hostname, DIAL_STDIO.format(host=host)]


def connect_ssh(target: Target) -> socket.socket:
    """Start ssh with one end of a socket pair as its standard input and output."""
    command = ssh_command(target.url)
    if shutil.which("ssh") is None:
        raise CannotConnect(target.url, "the ssh command is not installed")
    ours, theirs = socket.socketpair()
    # In a session of its own: an interrupt typed at the terminal is for the command, not for ssh.
    subprocess.Popen(command, stdin=theirs.fileno(), stdout=theirs.fileno(), start_new_session=True)
    theirs.close()
    return ours


def plain_end(tls: ssl.SSLSocket) -> socket.socket:
    """Return a plain socket that stands for a TLS connection.

    A stream is waited for with poll and written without blocking, which TLS cannot offer: its
    records are read and written by a thread of its own. It ends with the connection.
    """
    ours, theirs = socket.socketpair()
    threading.Thread(target=_relay, args=(tls, theirs), daemon=True).start()
    return ours


def _relay(tls: ssl.SSLSocket, plain: socket.socket) -> None:
    tls.setblocking(False)
    waiting = bytearray()
    listening = True
    with tls, plain:
        while True:
            reads = [tls, plain] if listening and len(waiting) < MOST_WAITING else [tls]
            if not tls.pending():
                select.select(reads, [tls] if waiting else [], [])
            try:
                if not _to_plain(tls, plain):
                    return
                if listening and plain in reads:
                    listening = _from_plain(plain, waiting)
                _to_tls(tls, waiting)
                if not listening and not waiting:
                    _end_of_input(tls)
            except (OSError, ssl.SSLError):
                return


def _to_plain(tls: ssl.SSLSocket, plain: socket.socket) -> bool:
    try:
        data = tls.recv(RELAYED)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True
    if data:
        plain.sendall(data)
    return bool(data)


def _from_plain(plain: socket.socket, waiting: bytearray) -> bool:
    try:
        data = plain.recv(RELAYED, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    waiting += data
    return bool(data)


def _to_tls(tls: ssl.SSLSocket, waiting: bytearray) -> None:
    try:
        while waiting:
            del waiting[: tls.send(waiting)]
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return


def _end_of_input(tls: ssl.SSLSocket) -> None:
    """Say that no more comes from us; what the other side sends is still read."""
    try:
        tls.unwrap()
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return
