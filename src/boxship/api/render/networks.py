"""Networks as the Engine API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from boxship.api.version import ApiVersion
from boxship.network.networks import Networks
from boxship.network.record import Endpoint, Network, Subnet

STATUS_SINCE: Final = ApiVersion(1, 52)
IPV4_SINCE: Final = ApiVersion(1, 47)
LISTED_WITHOUT_CONTAINERS: Final = ApiVersion(1, 28)


def summary(networks: Networks, network: Network, version: ApiVersion) -> dict[str, Any]:
    """Return a network as a list shows it."""
    shown = _common(network, version)
    if version < LISTED_WITHOUT_CONTAINERS:
        shown["Containers"] = _containers(networks, network)
    elif version < STATUS_SINCE:
        shown["Containers"] = {}
    return shown


def inspected(networks: Networks, network: Network, version: ApiVersion) -> dict[str, Any]:
    """Return all that is told of one network."""
    shown = _common(network, version)
    shown["Containers"] = _containers(networks, network)
    if version >= STATUS_SINCE:
        shown["Status"] = {"IPAM": {"Subnets": _counts(networks, network)}}
    return shown


def _common(network: Network, version: ApiVersion) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": network.scope,
        "Driver": network.driver,
        "EnableIPv4": network.ipv4,
        "EnableIPv6": network.ipv6,
        "IPAM": {
            "Driver": network.ipam_driver,
            "Options": dict(network.ipam_options) if network.ipam_options is not None else None,
            "Config": _subnets(network.subnets),
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": network.ingress,
        "ConfigFrom": {"Network": network.config_from},
        "ConfigOnly": network.config_only,
        "Options": dict(network.options),
        "Labels": dict(network.labels),
    }
    if version < IPV4_SINCE:
        del shown["EnableIPv4"]
    return shown


def _subnets(subnets: Sequence[Subnet]) -> list[dict[str, Any]] | None:
    return [_subnet(one) for one in subnets] or None


def _subnet(subnet: Subnet) -> dict[str, Any]:
    shown: dict[str, Any] = {"Subnet": subnet.subnet}
    if subnet.range:
        shown["IPRange"] = subnet.range
    if subnet.gateway:
        shown["Gateway"] = subnet.gateway
    if subnet.auxiliary:
        shown["AuxiliaryAddresses"] = dict(subnet.auxiliary)
    return shown


def _containers(networks: Networks, network: Network) -> dict[str, Any]:
    return {one.container: _endpoint(network, one) for one in networks.endpoints(network.id)}


def _endpoint(network: Network, endpoint: Endpoint) -> dict[str, str]:
    four, six = network.subnet(4), network.subnet(6)
    return {
        "Name": endpoint.container_name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.ipv4}/{four.prefix.prefixlen}" if four and endpoint.ipv4 else "",
        "IPv6Address": f"{endpoint.ipv6}/{six.prefix.prefixlen}" if six and endpoint.ipv6 else "",
    }


def _counts(networks: Networks, network: Network) -> dict[str, Any]:
    if network.config_only:
        return {}
    return {
        str(pool.prefix): {"IPsInUse": pool.in_use, "DynamicIPsAvailable": pool.free}
        for pool in networks.addresses(network.id).pools
    }
