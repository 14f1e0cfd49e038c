"""The sockets that the API is served on: unix://, tcp://, and fd:// from a service manager."""

from __future__ import annotations

import contextlib
import errno
import grp
import logging
import os
import socket
import ssl
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from boxship.daemon.config import BadConfiguration, Config

log = logging.getLogger(__name__)

FIRST_PASSED: Final = 3  # where a service manager's descriptors begin
SOCKET_MODE: Final = 0o660
UNIX_PATH_LIMIT: Final = 107


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, and how it is spoken to."""

    socket: socket.socket
    tls: ssl.SSLContext | None
    name: str


def open_all(config: Config, environment: Mapping[str, str], undo: ExitStack) -> list[Listener]:
    """Bind each address of the configuration; `undo` closes them and deletes their paths."""
    made: list[Listener] = []
    for host in config.hosts:
        scheme, mark, rest = host.partition("://")
        if not mark:
            raise BadConfiguration(f"invalid bind address: {host}")
        match scheme:
            case "unix":
                made.append(Listener(_unix(rest, config.text("group"), undo), None, host))
            case "tcp":
                made.append(_tcp(rest, config, undo))
            case "fd":
                found = list(_passed(rest, environment, undo))
                if not found:
                    raise BadConfiguration("no sockets found via socket activation")
                made += [Listener(sock, None, host) for sock in found]
            case _:
                raise BadConfiguration(f"unsupported protocol: {host}")
    return made


def _unix(path: str, group: str, undo: ExitStack) -> socket.socket:
    """Bind a path, mode 0660 from its first moment, owned by root and the group.

    A path that another daemon answers on is not taken; one that nobody answers on is stale.
    """
    path = path or "/run/boxship.sock"
    if len(os.fsencode(path)) > UNIX_PATH_LIMIT:
        raise BadConfiguration(f"the path of the socket is too long: {path}")
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    _clear_stale(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    undo.callback(made.close)
    made.setblocking(False)
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        made.bind(path)
    finally:
        os.umask(before)
    found = os.lstat(path)
    undo.callback(_delete_own, path, (found.st_dev, found.st_ino))
    if (number := _group_id(group)) is not None:
        with contextlib.suppress(PermissionError):
            os.chown(path, 0, number, follow_symlinks=False)
    return made


def _clear_stale(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise BadConfiguration(f"can't create unix socket {path}: something else is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ETIMEDOUT):
                raise
    raise BadConfiguration(f"can't create unix socket {path}: another daemon answers on it")


def _delete_own(path: str, identity: tuple[int, int]) -> None:
    """Delete a socket's path, unless somebody else's socket stands there by now."""
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if (found.st_dev, found.st_ino) == identity:
            os.unlink(path)


def _group_id(name: str) -> int | None:
    if name.isdigit():
        return int(name)
    for known in (name, "docker") if name == "boxship" else (name,):
        with contextlib.suppress(KeyError):
            return grp.getgrnam(known).gr_gid
    log.warning("could not change the group of the socket to %s: no such group", name)
    return None


def _tcp(address: str, config: Config, undo: ExitStack) -> Listener:
    host, port = split(address, "2376" if config.tls else "2375")
    tls = tls_context(config) if config.tls else None
    if not config.flag("tlsverify"):
        if not config.flag("insecure_tcp"):
            raise BadConfiguration(
                f"tcp://{address}: anyone who connects would be root on this host; use "
                "--tlsverify with --tlscacert, --tlscert and --tlskey, or say --insecure-tcp"
            )
        log.warning("the API answers on tcp://%s and does not ask who is there", address)
    return Listener(bind_tcp(f"tcp://{address}", host, port, undo), tls, f"tcp://{address}")


def bind_tcp(name: str, host: str, port: int, undo: ExitStack) -> socket.socket:
    """Bind a TCP socket; `name` is what it is called if that fails."""
    try:
        found = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except socket.gaierror as error:
        raise BadConfiguration(f"{name}: {error.strerror}") from error
    family, _, _, _, where = next((one for one in found if one[0] == socket.AF_INET), found[0])
    made = socket.socket(family, socket.SOCK_STREAM)
    undo.callback(made.close)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setblocking(False)
    try:
        made.bind(where)
    except OSError as error:
        raise BadConfiguration(
            f"listen tcp {name.removeprefix('tcp://')}: bind: {error.strerror}"
        ) from error
    return made


def split(address: str, usual: str | None) -> tuple[str, int]:
    """Split `HOST:PORT`; `usual` is the port where none is given."""
    address = address.rstrip("/")
    host, colon, digits = address.rpartition(":")
    if not colon or address.endswith("]"):
        host, digits = address, usual or ""
    if not digits.isdigit() or int(digits) > 65535:
        raise BadConfiguration(f"invalid bind address (tcp://{address}): not a port")
    return host.strip("[]"), int(digits)


def tls_context(config: Config) -> ssl.SSLContext:
    """Return how TLS is spoken: 1.2 or later, and with --tlsverify only to known clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.text("tlscert"), config.text("tlskey"))
        if config.flag("tlsverify"):
            context.load_verify_locations(config.text("tlscacert"))
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(f"could not load the TLS certificates: {error}") from error
    return context


def _passed(name: str, environment: Mapping[str, str], undo: ExitStack) -> Iterator[socket.socket]:
    """Take the sockets that a service manager opened for this process.

    fd:// means all of them, fd://NUMBER and fd://NAME one.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    for number in range(int(environment.get("LISTEN_FDS") or 0)):
        called = names[number] if number < len(names) else ""
        descriptor = FIRST_PASSED + number
        if name not in ("", "*", str(descriptor), called):
            continue
        os.set_inheritable(descriptor, False)
        made = socket.socket(fileno=descriptor)
        undo.callback(made.close)
        made.setblocking(False)
        yield made


def allowed_hosts(config: Config) -> list[str]:
    """Return the names by which unverified TCP clients may call this engine."""
    named = [host.removeprefix("tcp://") for host in config.hosts if host.startswith("tcp://")]
    return [socket.gethostname(), *(split(address, "2375")[0] for address in named)]
