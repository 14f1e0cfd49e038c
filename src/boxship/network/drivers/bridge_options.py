"""Options of a bridge network, parsed from Docker's names for them."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from boxship.errors import Forbidden
from boxship.network import names
from boxship.network.errors import InvalidNetworkConfig
from boxship.network.ports import ANY, parse_host_address
from boxship.network.record import Network, Prefix
from boxship.network.rules import BridgeRules

PREFIX: Final = "com.docker.network."
NAME: Final = PREFIX + "bridge.name"
MASQUERADE: Final = PREFIX + "bridge.enable_ip_masquerade"
ICC: Final = PREFIX + "bridge.enable_icc"
HOST_BINDING: Final = PREFIX + "bridge.host_binding_ipv4"
DEFAULT_BRIDGE: Final = PREFIX + "bridge.default_bridge"
GATEWAY_MODE: Final = PREFIX + "bridge.gateway_mode_ipv4"
INHIBIT: Final = PREFIX + "bridge.inhibit_ipv4"
MTU: Final = PREFIX + "driver.mtu"
IFACE_PREFIX: Final = PREFIX + "container_iface_prefix"
HOST_IPV4: Final = PREFIX + "host_ipv4"
HOST_IPV6: Final = PREFIX + "host_ipv6"
GATEWAY_MODES: Final = ("nat", "nat-unprotected", "routed", "isolated")
BRIDGE_NETFILTER: Final = "/proc/sys/net/bridge/bridge-nf-call-iptables"

TRUE: Final = ("1", "t", "T", "true", "TRUE", "True")
FALSE: Final = ("0", "f", "F", "false", "FALSE", "False")
LOWEST_MTU: Final = 68


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """What a bridge network should be like."""

    bridge: str
    mtu: int
    icc: bool
    masquerade: bool
    host_binding: str
    gateway_mode: str
    inhibit_ipv4: bool
    interface_prefix: str
    host_ipv4: str
    host_ipv6: str
    hairpin: bool  # bridged packets pass the rules too, so a port must accept its own again

    @classmethod
    def parse(cls, network: Network) -> Self:
        """Read a network's options; raises InvalidNetworkConfig."""
        options = network.options
        mode = options.get(GATEWAY_MODE, "nat")
        if mode not in GATEWAY_MODES:
            raise InvalidNetworkConfig(f"{GATEWAY_MODE}: unknown gateway mode {mode}")
        name = options.get(NAME) or names.bridge(network.id)
        if len(name) > names.LONGEST or "/" in name or not name.isprintable() or " " in name:
            raise InvalidNetworkConfig(f"{NAME}: invalid interface name {name!r}")
        return cls(
            bridge=name,
            mtu=_number(options, MTU, 1500),
            icc=_flag(options, ICC, default=True),
            masquerade=_flag(options, MASQUERADE, default=True) and mode != "routed",
            host_binding=parse_host_address(options.get(HOST_BINDING, "")) or ANY,
            gateway_mode=mode,
            inhibit_ipv4=_flag(options, INHIBIT, default=False),
            interface_prefix=options.get(IFACE_PREFIX) or "eth",
            host_ipv4=parse_host_address(options.get(HOST_IPV4, "")),
            host_ipv6=parse_host_address(options.get(HOST_IPV6, "")),
            hairpin=_bridged_packets_are_filtered(),
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """What the daemon's flags say of every bridge."""

    forward: bool = True  # turn forwarding on
    no_router: bool = True  # and for containers only, where it was off
    filter6: bool = True  # rules for IPv6 too
    direct: bool = False  # containers' own addresses may be reached from outside


def rules_for(network: Network, options: BridgeOptions, policy: Policy) -> BridgeRules:
    """Say what the firewall must know of a network."""
    covered = [one.subnet for one in network.subnets if policy.filter6 or one.version == 4]
    return BridgeRules(
        bridge=options.bridge,
        subnets=tuple(covered),
        internal=network.internal,
        masquerade=options.masquerade,
        direct=policy.direct or options.gateway_mode in ("routed", "nat-unprotected"),
        source4=options.host_ipv4,
        source6=options.host_ipv6,
    )


def enclosed(rules: BridgeRules) -> list[Prefix]:
    """Return the ranges that must be closed while the rules are gone."""
    return [] if rules.direct else [ipaddress.ip_network(one) for one in rules.subnets]


def refuse_same_bridge(network: Network, others: Iterable[Network]) -> None:
    """Raise Forbidden where another network has the bridge that this one asks for."""
    name = BridgeOptions.parse(network).bridge
    mine = [one for one in others if one.driver == network.driver and not one.config_only]
    for other in mine:
        if BridgeOptions.parse(other).bridge == name:
            raise Forbidden(
                f"conflicts with network {other.id} ({other.name}): "
                f"networks have same bridge name {name}"
            )


def _flag(options: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = options.get(name)
    if value is None or value == "":
        return default
    if value not in TRUE + FALSE:
        raise InvalidNetworkConfig(f"{name}: invalid syntax: {value!r} is not true or false")
    return value in TRUE


def _number(options: Mapping[str, str], name: str, default: int) -> int:
    value = options.get(name)
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or not LOWEST_MTU <= int(value) <= 65535:
        raise InvalidNetworkConfig(f"{name}: invalid number {value!r}")
    return int(value)


def _bridged_packets_are_filtered() -> bool:
    try:
        descriptor = os.open(BRIDGE_NETFILTER, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(descriptor, 8).strip() == b"1"
    finally:
        os.close(descriptor)
