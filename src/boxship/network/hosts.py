"""The content of /etc/hosts and /etc/resolv.conf in a sandbox."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

STANDARD: Final = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
WITHOUT_V6: Final = "127.0.0.1\tlocalhost\n"
PUBLIC_SERVERS: Final = ("8.8.8.8", "8.8.4.4")
PUBLIC_SERVERS_V6: Final = ("2001:4860:4860::8888", "2001:4860:4860::8844")
HOST_GATEWAY: Final = "host-gateway"


@dataclass(frozen=True, slots=True)
class Resolver:
    """What resolv.conf says."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def hosts(
    addresses: Iterable[str],
    names: Sequence[str],
    extra: Iterable[str],
    *,
    host_gateways: Sequence[str] = (),
    base: str = STANDARD,
) -> bytes:
    """Return the file: localhost, the lines asked for (`name:address`), then the container."""
    lines = [base]
    for entry in extra:
        # "=" is the newer form; a colon may also belong to an IPv6 address
        name, _, address = entry.partition("=" if "=" in entry else ":")
        told = address.strip("[]")
        for one in host_gateways if told == HOST_GATEWAY else (told,):
            lines.append(f"{one}\t{name}\n")
    if names:
        lines.extend(f"{address}\t{' '.join(names)}\n" for address in addresses)
    return "".join(lines).encode()


def own_names(hostname: str, domainname: str = "") -> list[str]:
    """Return what a container is called in its own hosts file, longest first."""
    if not hostname:
        return []
    if domainname:
        return [f"{hostname}.{domainname}", hostname]
    first = hostname.split(".", 1)[0]
    return [hostname, first] if first != hostname else [hostname]


def parse_resolver(text: str) -> Resolver:
    """Read a resolv.conf; as in the C library the last `search` or `domain` counts."""
    servers: list[str] = []
    search: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split()
        match words:
            case ["nameserver", server, *_]:
                servers.append(server)
            case ["search" | "domain", *found]:
                search = tuple(found)
            case ["options", *found]:
                options.extend(found)
            case _:
                pass
    return Resolver(tuple(servers), search, tuple(options))


def is_reachable(server: str, *, ipv6: bool) -> bool:
    """Tell whether a container in a namespace of its own could ask this server."""
    try:
        address = ipaddress.ip_address(server)
    except ValueError:
        return False
    if address.version == 6 and (not ipv6 or address.is_link_local):
        return False
    return not address.is_loopback


def resolver(host: Resolver, asked: Resolver, *, ipv6: bool, own_namespace: bool) -> Resolver:
    """Work out a container's resolver from the host's and from what was asked for.

    Servers on the host's loopback cannot be reached from a namespace of its own; when none is
    left, public ones stand in, as Docker has it.
    """
    servers = asked.servers or host.servers
    if own_namespace and not asked.servers:
        servers = tuple(one for one in host.servers if is_reachable(one, ipv6=ipv6))
        servers = servers or (PUBLIC_SERVERS + (PUBLIC_SERVERS_V6 if ipv6 else ()))
    search = asked.search or host.search
    if search == (".",):  # the documented way to have none
        search = ()
    return Resolver(servers, search, asked.options or host.options)


def render_resolver(found: Resolver) -> bytes:
    """Write a resolv.conf."""
    lines = ["# Made by Boxship from the host's file and the container's options.\n"]
    lines.extend(f"nameserver {server}\n" for server in found.servers)
    if found.search:
        lines.append(f"search {' '.join(found.search)}\n")
    if found.options:
        lines.append(f"options {' '.join(found.options)}\n")
    return "".join(lines).encode()
