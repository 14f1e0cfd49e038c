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
    from typing_extensions import Buffer

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
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if target.tls is None and target.scheme != "https":
        plain.settimeout(None)
        return cast("Socket", plain)
    try:
        return cast("Socket", secured(plain, context_of(target.tls), target))
    except OSError as error:  # what TLS refuses is one, too
        plain.close()
        raise CannotConnect(target.url, str(error)) from error


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


class Secured(socket.socket):
    """The near end of a connection with TLS; says why that was ended, where it knows.

    With TLS 1.3 a server reads the client's certificate when the client has long begun to talk.
    """

    url = ""
    refusal = ""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        try:
            data = super().recv(size, flags)
        except ConnectionResetError:  # it has ended with something of ours unread
            self._check()
            raise
        if not data and not flags:
            self._check()
        return data

    def sendall(self, data: Buffer, flags: int = 0, /) -> None:
        try:
            super().sendall(data, flags)
        except (BrokenPipeError, ConnectionResetError):
            self._check()
            raise

    def _check(self) -> None:
        if self.refusal:
            raise CannotConnect(self.url, self.refusal)


def secured(far: socket.socket, context: ssl.SSLContext, target: Target) -> Secured:
    """Return a plain socket that stands for TLS over `far`, whose timeout is the handshake's.

    A stream is waited for with poll, written without blocking and ended in one direction, none of
    which Python's TLS sockets offer: records are read and written by a thread of their own, which
    ends with the connection.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=target.host)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            far.sendall(outgoing.read())
            data = far.recv(RELAYED)
            if not data:
                raise ConnectionResetError("the engine has closed the connection") from None
            incoming.write(data)
        except ssl.SSLError:
            far.sendall(outgoing.read())  # tells the other side why
            raise
    far.sendall(outgoing.read())
    pair, near = socket.socketpair()
    ours = Secured(fileno=pair.detach())
    ours.url = target.url
    relay = Relay(tls, incoming, outgoing, far, near, ours)
    threading.Thread(target=relay.run, daemon=True).start()
    return ours


class Relay:
    """Carries bytes between a plain socket and a connection with TLS."""

    def __init__(
        self,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        far: socket.socket,
        near: socket.socket,
        served: Secured,
    ) -> None:
        self._tls, self._incoming, self._outgoing = tls, incoming, outgoing
        self._far, self._near, self._served = far, near, served
        self._waiting = bytearray()  # encrypted already
        self._listening = True

    def run(self) -> None:
        """Carry until the far side has ended."""
        self._far.setblocking(False)
        with self._far, self._near:
            try:
                self._pass_on()  # what came with the handshake
                while self._turn():
                    pass
            except ssl.SSLError as error:
                if "ALERT" in (error.reason or ""):  # others are how connections end
                    self._served.refusal = error.reason.replace("_", " ").lower()
            except OSError:
                return

    def _turn(self) -> bool:
        reads = [self._far]
        if self._listening and len(self._waiting) < MOST_WAITING:
            reads.append(self._near)
        ready, _, _ = select.select(reads, [self._far] if self._waiting else [], [])
        if self._far in ready and not self._hear():
            return False
        if self._near in ready:
            self._say()
        self._waiting += self._outgoing.read()
        if self._waiting:
            try:
                del self._waiting[: self._far.send(self._waiting)]
            except BlockingIOError:
                pass
            except OSError:  # it has ended; what it said before that is still to be heard
                self._waiting.clear()
                self._listening = False
        return True

    def _hear(self) -> bool:
        try:
            data = self._far.recv(RELAYED)
        except BlockingIOError:
            return True
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return self._pass_on()

    def _pass_on(self) -> bool:
        while True:
            try:
                data = self._tls.read(RELAYED)
            except ssl.SSLWantReadError:
                return True
            if not data:
                return False
            self._near.sendall(data)

    def _say(self) -> None:
        if data := self._near.recv(RELAYED):
            self._tls.write(data)
            return
        self._listening = False
        try:
            self._tls.unwrap()  # no more comes from us; what the other side sends is still read
        except ssl.SSLWantReadError:
            pass
