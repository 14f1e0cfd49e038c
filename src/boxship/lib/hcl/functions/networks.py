"""Addresses of networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Final

from boxship.lib.hcl.functions.define import STRING, WHOLE, takes
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import Value

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def a_network(value: Value) -> Network:
    said = STRING(value)
    try:
        return ipaddress.ip_network(said, strict=False)
    except ValueError:
        raise BadValue(f"invalid CIDR expression: {said}") from None


def _host(network: Network, number: int) -> str:
    size = network.num_addresses
    if not -size <= number < size:
        raise BadValue(f"prefix of {network.prefixlen} does not accommodate host {number}")
    return str(network[number])


def _subnet(network: Network, bits: int, number: int) -> str:
    length = network.prefixlen + bits
    if bits < 0 or length > network.max_prefixlen:
        raise BadValue(f"insufficient address space to extend prefix by {bits}")
    if not 0 <= number < 1 << bits:
        raise BadValue(f"prefix extension of {bits} does not accommodate subnet {number}")
    step = 1 << (network.max_prefixlen - length)
    return f"{network.network_address + number * step}/{length}"


def _subnets(network: Network, *bits: int) -> list[str]:
    found: list[str] = []
    at = int(network.network_address)
    for more in bits:
        length = network.prefixlen + more
        if more < 1 or length > network.max_prefixlen:
            raise BadValue("must extend prefix by at least one bit, within the address")
        step = 1 << (network.max_prefixlen - length)
        at = -(-at // step) * step
        if at + step - 1 > int(network.broadcast_address):
            raise BadValue("not enough remaining address space for a subnet")
        made = type(network.network_address)(at)
        found.append(f"{made}/{length}")
        at += step
    return found


def _netmask(network: Network) -> str:
    if network.version != 4:
        raise BadValue("only IPv4 networks have a netmask")
    return str(network.netmask)


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "cidrhost": takes(a_network, WHOLE)(_host),
    "cidrnetmask": takes(a_network)(_netmask),
    "cidrsubnet": takes(a_network, WHOLE, WHOLE)(_subnet),
    "cidrsubnets": takes(a_network, rest=WHOLE)(_subnets),
}
