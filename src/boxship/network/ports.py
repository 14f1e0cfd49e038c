"""Published ports: what was asked for, parsed; which host ports that takes; who holds them.

A host port in use is held by a socket of the daemon's own, bound and mostly listening: other
programs then get "address already in use", as users expect. A filter on it drops whatever the
rules failed to redirect, so a client that comes while the rules are being put back tries again
instead of being refused.
"""

from __future__ import annotations

import ctypes
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.network.errors import InvalidPort, PortUnavailable
from boxship.network.record import Publication
from boxship.spec.engine.container import PortBinding

PROTOCOLS: Final = {"tcp": 6, "udp": 17, "sctp": 132}
ANY: Final = "0.0.0.0"
ANY_V6: Final = "::"
FALLBACK_RANGE: Final = (49153, 65535)
SO_ATTACH_FILTER: Final = 26
IPV6_V6ONLY: Final = 26

Bindings = Mapping[str, Sequence[PortBinding] | None]
Shown = dict[str, list[PortBinding] | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One binding asked for: a container port, and the host ports that would do."""

    protocol: str
    port: int
    host_address: str  # empty: the default
    first: int  # 0: any port of the ephemeral range
    last: int


def parse_port(text: str) -> tuple[int, str]:
    """Read `80` or `80/udp`."""
    number, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS or not number.isascii() or not number.isdigit():
        raise InvalidPort(f'invalid port specification: "{text}"')
    if not 0 < int(number) < 65536:
        raise InvalidPort(f'invalid port specification: "{text}"')
    return int(number), protocol


def parse_host_port(text: str) -> tuple[int, int]:
    """Read `8080`, `8000-8010`, or nothing for any port."""
    if not text or text == "0":
        return 0, 0
    first, dash, last = text.partition("-")
    last = last if dash else first
    if not (first.isascii() and first.isdigit() and last.isascii() and last.isdigit()):
        raise InvalidPort(f'invalid port specification: "{text}"')
    if not 0 < int(first) <= int(last) < 65536:
        raise InvalidPort(f'invalid port specification: "{text}"')
    return int(first), int(last)


def parse_host_address(text: str) -> str:
    """Read a host address, with or without brackets, into its canonical form."""
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise InvalidPort(f"invalid IP address: {text}") from None


def wanted(bindings: Bindings, exposed: Collection[str], *, publish_all: bool) -> Iterator[Wanted]:
    """Say which host ports a container asks for, in a fixed order."""
    asked = dict(bindings)
    if publish_all:
        for name in exposed:
            asked.setdefault(name, None)
    for name in sorted(asked, key=parse_port):
        port, protocol = parse_port(name)
        found = asked[name]
        if not found:
            if publish_all:
                yield Wanted(protocol, port, "", 0, 0)
            continue
        for binding in found:
            first, last = parse_host_port(binding.host_port or "")
            yield Wanted(protocol, port, parse_host_address(binding.host_ip or ""), first, last)


def check_bindings(bindings: Bindings) -> None:
    """Raise InvalidPort for the first binding that cannot be meant."""
    for _ in wanted(bindings, (), publish_all=False):
        pass


def shown(publications: Sequence[Publication], names: Collection[str]) -> Shown:
    """Return `NetworkSettings.Ports`: every exposed port, with its bindings or null."""
    ports: Shown = {}
    for name in names:
        port, protocol = parse_port(name)
        ports.setdefault(f"{port}/{protocol}", None)
    for one in publications:
        key = f"{one.port}/{one.protocol}"
        found = ports[key] = ports.get(key) or []
        found.append(PortBinding(host_ip=one.host_address, host_port=str(one.host_port)))
    return ports


def ephemeral_range(read: Callable[[str], str]) -> tuple[int, int]:
    """Return the range that ports without a wish come from."""
    try:
        first, last = read("ipv4/ip_local_port_range").split()
        return int(first), int(last)
    except (OSError, ValueError):
        return FALLBACK_RANGE


class HostPorts:
    """The host ports that the daemon's containers have."""

    def __init__(self, ephemeral: tuple[int, int] = FALLBACK_RANGE) -> None:
        self._first, self._last = ephemeral
        self._next = self._first
        self._held: dict[tuple[str, int], dict[str, socket.socket | None]] = {}

    def take(self, want: Wanted, host_address: str) -> int:
        """Hold a host port that will do; raise PortUnavailable where there is none."""
        if want.first == 0:
            return self._take_ephemeral(want.protocol, host_address)
        if want.first == want.last:
            self.hold(want.protocol, host_address, want.first)
            return want.first
        for port in range(want.first, want.last + 1):
            try:
                self.hold(want.protocol, host_address, port)
            except PortUnavailable:
                continue
            return port
        where = _show(host_address, f"{want.first}-{want.last}")
        raise PortUnavailable(f"Bind for {where} failed: all ports are allocated")

    def hold(self, protocol: str, host_address: str, port: int, *, insist: bool = True) -> None:
        """Hold this port. Without `insist` it is ours even where another program has it."""
        held = self._held.setdefault((protocol, port), {})
        if _conflict(host_address, held):
            where = _show(host_address, str(port))
            raise PortUnavailable(f"Bind for {where} failed: port is already allocated")
        try:
            held[host_address] = _reserve(protocol, host_address, port)
        except OSError as error:
            if insist:
                if not held:
                    del self._held[protocol, port]
                reason = os.strerror(error.errno or 0).lower()
                if error.errno == errno.EADDRINUSE:
                    reason = "address already in use"
                where = _show(host_address, f"{port}/{protocol}")
                raise PortUnavailable(f"failed to bind host port {where}: {reason}") from error
            held[host_address] = None

    def give_back(self, protocol: str, host_address: str, port: int) -> None:
        """Let go of a host port."""
        held = self._held.get((protocol, port), {})
        reserved = held.pop(host_address, None)
        if reserved is not None:
            reserved.close()
        if not held:
            self._held.pop((protocol, port), None)

    def close(self) -> None:
        """Let go of every socket; the rules stay."""
        for held in self._held.values():
            for reserved in held.values():
                if reserved is not None:
                    reserved.close()
        self._held.clear()

    def _take_ephemeral(self, protocol: str, host_address: str) -> int:
        size = self._last - self._first + 1
        for _ in range(size):
            port, self._next = self._next, self._next + 1
            if self._next > self._last:
                self._next = self._first
            try:
                self.hold(protocol, host_address, port)
            except PortUnavailable:
                continue
            return port
        where = _show(host_address, "0")
        raise PortUnavailable(f"Bind for {where} failed: all ports are allocated")


def _show(host_address: str, port: str) -> str:
    return f"[{host_address}]:{port}" if ":" in host_address else f"{host_address}:{port}"


def _conflict(host_address: str, held: Collection[str]) -> bool:
    any_address = ANY_V6 if ":" in host_address else ANY
    same_family = [one for one in held if (":" in one) == (":" in host_address)]
    if host_address == any_address:
        return bool(same_family)
    return any_address in same_family or host_address in same_family


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


_DROP: Final = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0), 8)  # ret #0


def _reserve(protocol: str, host_address: str, port: int) -> socket.socket | None:
    if protocol == "sctp":
        return None  # kernels without the module cannot make the socket; our own table holds it
    family = socket.AF_INET6 if ":" in host_address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    reserved = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    try:
        program = bytes(_Program(1, ctypes.addressof(_DROP)))
        reserved.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        if family == socket.AF_INET6:
            reserved.setsockopt(socket.IPPROTO_IPV6, IPV6_V6ONLY, 1)
        listening = protocol == "tcp" and family == socket.AF_INET
        if listening:
            # past connections of an earlier owner must not keep the port; listening is what
            # makes it exclusive all the same
            reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((host_address, port))
        # on IPv6 the host's own ::1 cannot be redirected: there a client must be refused at once
        # and go on to 127.0.0.1, so the port is only bound
        if listening:
            reserved.listen(1)
    except BaseException:
        reserved.close()
        raise
    return reserved
