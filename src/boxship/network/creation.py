"""A request for a network becomes a Network: pure, save for what it is told is taken."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from boxship.errors import Forbidden, InvalidRequest, NotFound
from boxship.model.ids import NetworkId
from boxship.network.config import NetworkConfig, Pool
from boxship.network.errors import InvalidNetworkConfig, PredefinedNetwork
from boxship.network.pools import choose, refuse_overlap, unique_local_pool
from boxship.network.record import PREDEFINED, Network, Prefix, Subnet

NOT_A_MANAGER: Final = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect '
    "this node to swarm and try again."
)
SWARM_DRIVERS: Final = ("overlay",)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRequest:
    """What a user asks for."""

    name: str
    driver: str = ""
    scope: str = ""
    internal: bool = False
    attachable: bool = False
    ingress: bool = False
    config_only: bool = False
    config_from: str = ""
    ipv4: bool | None = None
    ipv6: bool | None = None
    ipam_driver: str = ""
    ipam_options: Mapping[str, str] | None = None
    subnets: Sequence[Subnet] = ()  # as asked for; an empty subnet means any
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)


def configured(request: NetworkRequest, source: Network) -> NetworkRequest:
    """Return a request filled in from the configuration network it names."""
    return replace(
        request,
        ipv4=source.ipv4,
        ipv6=source.ipv6,
        internal=source.internal,
        attachable=source.attachable,
        subnets=source.subnets,
        options=source.options,
        labels={**source.labels, **request.labels},
    )


Taken = Callable[[], Sequence[Prefix]]


def check(request: NetworkRequest) -> None:
    """Refuse what cannot be, whatever the host is like."""
    if not request.name.strip():
        raise InvalidRequest("invalid name: name is empty")
    if request.name in (*PREDEFINED, "default"):
        # the trailing space is Docker's
        raise PredefinedNetwork(f"operation is not permitted on predefined {request.name} network ")
    if request.scope == "swarm" or request.ingress or request.driver in SWARM_DRIVERS:
        raise Forbidden(NOT_A_MANAGER)
    if request.ipam_driver not in ("", "default"):
        raise NotFound(f'plugin "{request.ipam_driver}" not found')
    if request.config_only and request.config_from:
        raise Forbidden("a configuration network cannot depend on another configuration network")
    if request.config_from and (request.subnets or request.options or request.internal):
        raise Forbidden("user-specified configurations are not supported if the network depends "
                        "on a configuration network")  # fmt: skip


def build(
    request: NetworkRequest,
    config: NetworkConfig,
    *,
    id: NetworkId,
    created: str,
    own: Sequence[Prefix],
    on_host: Taken,
    host_seed: bytes,
    addressed: bool,
) -> Network:
    """Return the network, its subnets chosen.

    `own` are the ranges of other networks; `on_host` is asked only where a range is chosen.
    """
    driver = request.driver or "bridge"
    asked = [subnet for subnet in request.subnets if subnet.subnet]
    defaults = config.default_network_opts.get(driver, {})
    ipv6 = bool(request.ipv6) or any(subnet.version == 6 for subnet in asked)
    ipv4 = request.ipv4 is not False
    if not ipv4 and not ipv6:
        raise InvalidNetworkConfig("IPv4 or IPv6 must be enabled")
    subnets: list[Subnet] = []
    if addressed and not request.config_only:
        subnets = _subnets(asked, config, own, on_host, host_seed, ipv4=ipv4, ipv6=ipv6)
    elif request.config_only:
        subnets = list(request.subnets)
    return Network(
        id=id,
        name=request.name,
        driver=driver,
        created=created,
        ipv4=ipv4,
        ipv6=ipv6,
        internal=request.internal,
        attachable=request.attachable,
        config_only=request.config_only,
        config_from=request.config_from,
        ipam_driver=request.ipam_driver or "default",
        ipam_options=request.ipam_options,
        subnets=tuple(subnets),
        options={**defaults, **request.options},
        labels=dict(request.labels),
    )


def checked_subnets(subnets: Sequence[Subnet]) -> list[str]:
    """Return what is wrong with ranges as asked for."""
    reasons: list[str] = []
    for subnet in subnets:
        if not subnet.subnet:
            continue
        try:
            prefix = ipaddress.ip_network(subnet.subnet, strict=False)
        except ValueError:
            reasons.append(f"invalid subnet {subnet.subnet}: invalid CIDR block notation")
            continue
        if "/" not in subnet.subnet:
            reasons.append(f"invalid subnet {subnet.subnet}: invalid CIDR block notation")
        elif str(prefix) != subnet.subnet.lower() and not _same(subnet.subnet, prefix):
            reasons.append(f"invalid subnet {subnet.subnet}: it should be {prefix}")
        else:
            reasons.extend(_wrong_inside(subnet, prefix))
    return reasons


def _same(text: str, prefix: Prefix) -> bool:
    return ipaddress.ip_interface(text).ip == prefix.network_address


def _wrong_inside(subnet: Subnet, prefix: Prefix) -> list[str]:
    reasons = []
    if subnet.range:
        try:
            part = ipaddress.ip_network(subnet.range)
            if part.version != prefix.version or not part.subnet_of(prefix):  # type: ignore[arg-type]
                reasons.append(
                    f"invalid ip-range {subnet.range}: it should be within subnet {prefix}"
                )
        except ValueError:
            reasons.append(f"invalid ip-range {subnet.range}: invalid CIDR block notation")
    named = [("gateway", subnet.gateway)] if subnet.gateway else []
    named += [("auxiliary address", address) for address in subnet.auxiliary.values()]
    for what, text in named:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            reasons.append(f"invalid {what} {text}: invalid address")
            continue
        if address.version != prefix.version or address not in prefix:
            reasons.append(f"invalid {what} {text}: parent subnet is {prefix}")
    return reasons


def _subnets(
    asked: Sequence[Subnet],
    config: NetworkConfig,
    own: Sequence[Prefix],
    on_host: Taken,
    host_seed: bytes,
    *,
    ipv4: bool,
    ipv6: bool,
) -> list[Subnet]:
    reasons = checked_subnets(asked)
    if reasons:
        raise InvalidNetworkConfig(*reasons)
    done: list[Subnet] = []
    taken = list(own)
    for subnet in asked:
        prefix = ipaddress.ip_network(subnet.subnet, strict=False)
        refuse_overlap(prefix, taken)
        taken.append(prefix)
        done.append(_filled(subnet, prefix))
    for version, wanted in ((4, ipv4), (6, ipv6)):
        if wanted and not any(one.version == version for one in done):
            pools = list(config.default_address_pools)
            if version == 6 and not any(":" in pool.base for pool in pools):
                pools.append(unique_local_pool(host_seed))
            prefix = choose(_of(pools, version), version, [*taken, *on_host()])
            taken.append(prefix)
            done.append(_filled(Subnet(str(prefix), ""), prefix))
    return done


def _of(pools: Sequence[Pool], version: int) -> list[Pool]:
    return [pool for pool in pools if (":" in pool.base) == (version == 6)]


def _filled(subnet: Subnet, prefix: Prefix) -> Subnet:
    """Give a range its gateway: the first address, or the first of the part to be used."""
    gateway = subnet.gateway
    if not gateway:
        part = ipaddress.ip_network(subnet.range) if subnet.range else prefix
        first = part.network_address
        gateway = str(first + 1 if first == prefix.network_address else first)
    else:
        gateway = str(ipaddress.ip_address(gateway))
    return Subnet(str(prefix), gateway, subnet.range, dict(subnet.auxiliary))
