"""Working out a sandbox: which networks, which interface names, which way out. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from boxship.errors import Forbidden, InvalidRequest
from boxship.model.ids import SHORT, ContainerId, NetworkId
from boxship.network.record import BRIDGE, HOST, NONE, Endpoint, Network
from boxship.spec.engine.container import EndpointIPAMConfig, EndpointSettings

CONTAINER_MODE: Final = "container:"
MAC: Final = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
DEFAULT_MODES: Final = ("", "default", BRIDGE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A network that a container is to be joined to, and how."""

    network: Network
    settings: EndpointSettings


def network_of(mode: str) -> str:
    """Return the name of the network that a network mode means."""
    return BRIDGE if mode in DEFAULT_MODES else mode


def shares_with(mode: str) -> str | None:
    """Return the container whose namespace is to be used, if the mode says so."""
    return mode.removeprefix(CONTAINER_MODE) if mode.startswith(CONTAINER_MODE) else None


def is_private(mode: str) -> bool:
    """Tell whether a container has a network namespace of its own."""
    return mode != HOST and shares_with(mode) is None


def check_settings(network: Network, settings: EndpointSettings) -> None:
    """Refuse addresses that are none, and what only networks made by a user can do."""
    check_addresses(settings)
    if not network.user_defined:
        check_predefined(settings)


def check_addresses(settings: EndpointSettings) -> None:
    """Refuse addresses that are none, on whichever network."""
    asked = settings.ipam_config or EndpointIPAMConfig()
    wrong = [
        f"invalid IPv{version} address: {text}"
        for version, text in ((4, asked.i_pv4_address), (6, asked.i_pv6_address))
        if text and not _is_address(text, version)
    ]
    if settings.mac_address and not MAC.fullmatch(settings.mac_address):
        wrong.append(f"invalid MAC address: {settings.mac_address}")
    if wrong:
        raise InvalidRequest("\n".join(["invalid endpoint settings:", *wrong]))


def check_predefined(settings: EndpointSettings) -> None:
    """Refuse what only networks made by a user can do."""
    asked = settings.ipam_config or EndpointIPAMConfig()
    if asked.i_pv4_address or asked.i_pv6_address:
        raise InvalidRequest("user-specified IP address is supported on user-defined networks only")
    if settings.aliases:
        raise InvalidRequest("network-scoped aliases are only supported for user-defined networks")


def _is_address(text: str, version: int) -> bool:
    try:
        return ipaddress.ip_address(text).version == version
    except ValueError:
        return False


def order(attachments: Sequence[Attachment]) -> list[Attachment]:
    """Put the attachments in the order of their interfaces: the way out first."""
    return sorted(attachments, key=lambda one: _rank(one.network, one.settings.gw_priority or 0))


def _rank(network: Network, priority: int) -> tuple[bool, int, str]:
    return (network.internal, -priority, network.name)


def way_out(
    endpoints: Sequence[Endpoint], networks: Mapping[NetworkId, Network]
) -> Endpoint | None:
    """Return the endpoint that carries the default route."""
    outward = [
        one
        for one in endpoints
        if one.network in networks and one.link and not networks[one.network].internal
    ]
    if not outward:
        return None
    return min(outward, key=lambda one: _rank(networks[one.network], one.priority))


def interface_name(endpoint_options: Mapping[str, str], prefix: str, taken: Sequence[str]) -> str:
    """Return the next free interface name, or the one asked for."""
    asked = endpoint_options.get("com.docker.network.endpoint.ifname")
    if asked:
        return asked
    number = 0
    while f"{prefix}{number}" in taken:
        number += 1
    return f"{prefix}{number}"


def dns_names(
    network: Network, container: ContainerId, name: str, hostname: str, aliases: Sequence[str]
) -> tuple[str, ...]:
    """Return what a container is called on a network made by a user."""
    if not network.user_defined:
        return ()
    asked = (name, *aliases, container[:SHORT], hostname)
    return tuple(dict.fromkeys(one for one in asked if one))


def shown(network: Network, endpoint: Endpoint) -> EndpointSettings:
    """Return an endpoint as `NetworkSettings.Networks` shows it."""
    four, six = network.subnet(4), network.subnet(6)
    requested = None
    if endpoint.requested_ipv4 or endpoint.requested_ipv6:
        requested = EndpointIPAMConfig(
            i_pv4_address=endpoint.requested_ipv4 or None,
            i_pv6_address=endpoint.requested_ipv6 or None,
        )
    return EndpointSettings(
        ipam_config=requested,
        links=list(endpoint.links) or None,
        aliases=list(endpoint.aliases) or None,
        mac_address=endpoint.mac,
        driver_opts=dict(endpoint.options) or None,
        gw_priority=endpoint.priority,
        network_id=endpoint.network,
        endpoint_id=endpoint.id,
        gateway=four.gateway if four and endpoint.ipv4 and not network.internal else "",
        ip_address=endpoint.ipv4,
        ip_prefix_len=four.prefix.prefixlen if four and endpoint.ipv4 else 0,
        i_pv6_gateway=six.gateway if six and endpoint.ipv6 and not network.internal else "",
        global_i_pv6_address=endpoint.ipv6,
        global_i_pv6_prefix_len=six.prefix.prefixlen if six and endpoint.ipv6 else 0,
        dns_names=list(endpoint.dns_names) or None,
    )


def unconnected(network: Network, settings: EndpointSettings) -> EndpointSettings:
    """Return what is shown for a container that does not run."""
    return EndpointSettings(
        ipam_config=settings.ipam_config,
        links=settings.links,
        aliases=settings.aliases,
        driver_opts=settings.driver_opts,
        gw_priority=settings.gw_priority or 0,
        network_id=network.id,
        endpoint_id="",
        gateway="",
        ip_address="",
        ip_prefix_len=0,
        i_pv6_gateway="",
        global_i_pv6_address="",
        global_i_pv6_prefix_len=0,
        mac_address=settings.mac_address or "",
        dns_names=settings.dns_names,
    )


def renamed(endpoint: Endpoint, name: str) -> Endpoint:
    """Return an endpoint whose container has another name now."""
    own = tuple(name if one == endpoint.container_name else one for one in endpoint.dns_names)
    return replace(endpoint, container_name=name, dns_names=own)


def with_mac(settings: EndpointSettings, mac: str) -> EndpointSettings:
    """Return settings that ask for a MAC address too."""
    return msgspec.structs.replace(settings, mac_address=mac)


def check_connect(mode: str, network: Network) -> None:
    """Refuse a further network for a container whose namespace does not allow one."""
    if mode == HOST or shares_with(mode) is not None:
        raise Forbidden(
            "container sharing network namespace with another container or host cannot be "
            "connected to any other network"
        )
    if network.name == HOST:
        raise Forbidden(
            "cannot connect container to host network - "
            "container must be created in host network mode"
        )
    if NONE in (mode, network.name):
        raise Forbidden(
            "container cannot be connected to multiple networks with one of the networks in "
            "private (none) mode"
        )
    if network.config_only:
        raise Forbidden(f"configuration network {network.name!r} cannot be used directly")
