"""The hosts and resolv.conf files of a sandbox, from the host's own and the container's wishes."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Final

from boxship.network import hosts
from boxship.network.config import NetworkConfig
from boxship.network.hosts import Resolver
from boxship.network.needs import NameServer
from boxship.network.sandbox import SandboxRequest

RESOLV_CONF: Final = "/etc/resolv.conf"
RESOLVED_CONF: Final = "/run/systemd/resolve/resolv.conf"  # what systemd's stub asks in turn
STUB: Final = "127.0.0.53"
HOSTS: Final = "/etc/hosts"


class SandboxFiles:
    """Writes the files, as bytes."""

    def __init__(self, config: NetworkConfig, name_server: NameServer | None) -> None:
        self._config = config
        self._name_server = name_server

    def hosts(
        self, request: SandboxRequest, addresses: Sequence[str], gateways: Sequence[str]
    ) -> bytes:
        """Return the hosts file of a namespace of its own."""
        names = hosts.own_names(request.hostname, request.domainname)
        reached = tuple(self._config.host_gateway_ips) or gateways
        return hosts.hosts(addresses, names, request.extra_hosts, host_gateways=reached)

    def host_hosts(self, request: SandboxRequest) -> bytes:
        """Return the host's own hosts file with the container's lines added."""
        own = _read(HOSTS) or hosts.STANDARD
        base = own if own.endswith("\n") else own + "\n"
        reached = tuple(self._config.host_gateway_ips) or ("127.0.0.1",)
        return hosts.hosts((), (), request.extra_hosts, host_gateways=reached, base=base)

    def resolv_conf(
        self, request: SandboxRequest, *, ipv6: bool, own_namespace: bool, named: bool = False
    ) -> bytes:
        """Return resolv.conf; `named` when containers find each other by name."""
        asked = Resolver(
            tuple(request.dns) or tuple(self._config.dns),
            tuple(request.dns_search) or tuple(self._config.dns_search),
            tuple(request.dns_options) or tuple(self._config.dns_options),
        )
        found = hosts.resolver(host_resolver(), asked, ipv6=ipv6, own_namespace=own_namespace)
        if named and self._name_server is not None:
            options = found.options
            if not any(one.startswith("ndots:") for one in options):
                options = (*options, "ndots:0")
            found = Resolver((self._name_server.address,), found.search, options)
        return hosts.render_resolver(found)


def host_resolver() -> Resolver:
    """Return what the host itself asks."""
    found = hosts.parse_resolver(_read(RESOLV_CONF))
    if found.servers == (STUB,):
        behind = hosts.parse_resolver(_read(RESOLVED_CONF))
        return behind if behind.servers else found
    return found


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        return file.read()
    return ""
