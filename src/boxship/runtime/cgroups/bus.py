"""systemd's manager, spoken to on its own socket, which root alone may use."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from boxship.runtime.cgroups.errors import CgroupUnavailable
from boxship.wire import dbus

SOCKET: Final = "/run/systemd/private"
MANAGER: Final = "org.freedesktop.systemd1"
PATH: Final = "/org/freedesktop/systemd1"
WITHIN: Final = 20.0  # seconds for an answer
Property = tuple[str, tuple[str, Any]]


class Refused(CgroupUnavailable):
    """systemd does not do what it was asked for."""

    def __init__(self, name: str, said: str) -> None:
        super().__init__(f"systemd: {said or name}")
        self.name = name


class Bus:
    """A connection to the manager, for one call after the other."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._serial = 0
        self._authenticate()

    def _authenticate(self) -> None:
        """Say who we are; the other side sees it for itself."""
        who = str(os.getuid()).encode().hex()
        self._connection.sendall(b"\0AUTH EXTERNAL " + who.encode() + b"\r\n")
        said = b""
        while not said.endswith(b"\r\n"):
            said += self._some(1)
            if len(said) > 1000:
                raise dbus.BadMessage
        if not said.startswith(b"OK "):
            raise Refused("", "it does not let us in")
        self._connection.sendall(b"BEGIN\r\n")

    def start_scope(self, name: str, properties: Iterable[Property]) -> None:
        """Have a scope made for processes that are there."""
        self._call("StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail", [*properties], [])

    def set_properties(self, name: str, properties: Iterable[Property]) -> None:
        """Change a unit until it ends."""
        self._call("SetUnitProperties", "sba(sv)", name, True, [*properties])

    def _call(self, member: str, signature: str, *values: Any) -> tuple[Any, ...]:
        self._serial += 1
        interface = f"{MANAGER}.Manager"
        data = dbus.call(
            self._serial, PATH, interface, member, signature, *values, destination=MANAGER
        )
        self._connection.sendall(data)
        while True:
            head = self._some(dbus.HEAD)
            message = dbus.read(head + self._some(dbus.length(head) - dbus.HEAD))
            if message.reply_to != self._serial:
                continue  # a signal
            if message.type == dbus.ERROR:
                raise Refused(message.error, str(message.body[0]) if message.body else "")
            return message.body

    def _some(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._connection.recv(count - len(data))
            if not more:
                raise Refused("", "the connection was closed")
            data += more
        return data


@contextmanager
def connected(path: str = SOCKET) -> Iterator[Bus]:
    """Have a connection for the time of a block; CgroupUnavailable where nobody answers."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(WITHIN)
        try:
            connection.connect(path)
            yield Bus(connection)
        except TimeoutError:
            raise Refused("", f"no answer within {WITHIN:.0f} seconds") from None
        except OSError as failure:
            reason = os.strerror(failure.errno or 0).lower()
            raise CgroupUnavailable(f"systemd cannot be asked: {path}: {reason}") from failure
