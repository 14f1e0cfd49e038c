"""The networks that are always there: bridge, host and none, from the daemon's flags."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from boxship.errors import InvalidRequest
from boxship.model.ids import NetworkId
from boxship.network.config import NetworkConfig
from boxship.network.drivers import bridge_options as option
from boxship.network.pools import choose, unique_local_pool
from boxship.network.record import BRIDGE, HOST, NONE, Address, Network, Prefix, Subnet

DRIVERS: Final = {BRIDGE: "bridge", HOST: "host", NONE: "null"}


def default_bridge(
    config: NetworkConfig,
    known: Network | None,
    present: tuple[Address, int] | None,
    taken: Sequence[Prefix],
    *,
    id: NetworkId,
    created: str,
    host_seed: bytes,
) -> Network:
    """Return the default bridge: as the flags say, else as it is, else as it was, else new."""
    subnets = [_subnet4(config, known, present, taken)]
    if config.ipv6 or config.bip6 or config.fixed_cidr_v6:
        subnets.append(_subnet6(config, known, taken, host_seed))
    return Network(
        id=known.id if known else id,
        name=BRIDGE,
        driver="bridge",
        created=known.created if known else created,
        ipv6=len(subnets) > 1,
        subnets=tuple(subnets),
        options={
            option.DEFAULT_BRIDGE: "true",
            option.ICC: _text(config.icc),
            option.MASQUERADE: _text(config.ip_masq),
            option.HOST_BINDING: config.ip,
            option.NAME: config.bridge,
            option.MTU: str(config.mtu),
        },
    )


def unaddressed(name: str, known: Network | None, *, id: NetworkId, created: str) -> Network:
    """Return the `host` or the `none` network."""
    if known is not None:
        return replace(known, driver=DRIVERS[name])
    return Network(id=id, name=name, driver=DRIVERS[name], created=created)


def _subnet4(
    config: NetworkConfig,
    known: Network | None,
    present: tuple[Address, int] | None,
    taken: Sequence[Prefix],
) -> Subnet:
    fixed = _prefix("--fixed-cidr", config.fixed_cidr, 4) if config.fixed_cidr else None
    before = known.subnet(4) if known else None
    if config.bip:
        interface = _interface("--bip", config.bip, 4)
        prefix, gateway = interface.network, str(interface.ip)
    elif present is not None:
        prefix = ipaddress.ip_network(f"{present[0]}/{present[1]}", strict=False)
        gateway = str(present[0])
    elif fixed is not None:
        prefix, gateway = fixed, str(next(iter(fixed.hosts())))
    elif before is not None and not _overlaps(before.prefix, taken):
        prefix, gateway = before.prefix, before.gateway
    else:
        prefix = choose(config.default_address_pools, 4, taken)
        gateway = str(prefix.network_address + 1)
    gateway = config.default_gateway or gateway
    part = str(fixed) if fixed is not None and fixed != prefix else ""
    return Subnet(str(prefix), gateway, part)


def _subnet6(
    config: NetworkConfig, known: Network | None, taken: Sequence[Prefix], host_seed: bytes
) -> Subnet:
    before = known.subnet(6) if known else None
    if config.bip6:
        interface = _interface("--bip6", config.bip6, 6)
        prefix, gateway = interface.network, str(interface.ip)
    elif config.fixed_cidr_v6:
        prefix = _prefix("--fixed-cidr-v6", config.fixed_cidr_v6, 6)
        gateway = str(prefix.network_address + 1)
    elif before is not None:
        prefix, gateway = before.prefix, before.gateway
    else:
        pools = [pool for pool in config.default_address_pools if ":" in pool.base]
        prefix = choose(pools or [unique_local_pool(host_seed)], 6, taken)
        gateway = str(prefix.network_address + 1)
    return Subnet(str(prefix), config.default_gateway_v6 or gateway)


def _overlaps(prefix: Prefix, taken: Sequence[Prefix]) -> bool:
    return any(prefix.version == one.version and prefix.overlaps(one) for one in taken)


def _interface(
    flag: str, text: str, version: int
) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        raise InvalidRequest(f"invalid value {text!r} for {flag}: not an address") from None
    if found.version != version or found.ip == found.network.network_address or "/" not in text:
        raise InvalidRequest(f"invalid value {text!r} for {flag}: not a host's IPv{version} CIDR")
    return found


def _prefix(flag: str, text: str, version: int) -> Prefix:
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        raise InvalidRequest(f"invalid value {text!r} for {flag}: not a subnet") from None
    if found.version != version:
        raise InvalidRequest(f"invalid value {text!r} for {flag}: not an IPv{version} subnet")
    return found


def _text(flag: bool) -> str:
    return "true" if flag else "false"


def by_name(networks: Mapping[NetworkId, Network], name: str) -> Network | None:
    """Return the network of this name."""
    return next((one for one in networks.values() if one.name == name), None)
