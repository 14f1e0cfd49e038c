"""Create a network."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.options import check_label, labels_of, pairs_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="create [OPTIONS] NETWORK",
    summary="Create a network",
    names=("network create",),
    flags=(
        Flag("attachable", "", "Let containers join that are not of a service"),
        Flag("aux-address", "", "Addresses of a network driver's own (name=address)", "map"),
        Flag("config-from", "", "Network to take the configuration from", "string", ""),
        Flag("config-only", "", "Keep a configuration and make no network"),
        Flag("driver", "d", "Driver of the network", "string", "bridge"),
        Flag("gateway", "", "Gateway of the subnet", "array"),
        Flag("ingress", "", "Make the swarm's routing-mesh network"),
        Flag("internal", "", "Let nothing in or out"),
        Flag("ip-range", "", "Give containers addresses from this part", "array"),
        Flag("ipam-driver", "", "Driver that manages addresses", "string", "default"),
        Flag("ipam-opt", "", "Options of that driver", "map"),
        Flag("ipv4", "", "Give IPv4 addresses", "maybe", shown="true"),
        Flag("ipv6", "", "Give IPv6 addresses", "maybe"),
        Flag("label", "", "Set labels", "list", check=check_label),
        Flag("opt", "o", "Options of the driver", "map"),
        Flag("scope", "", "Scope of the network", "string", ""),
        Flag("subnet", "", "Subnet in CIDR form", "array"),
    ),
    at_least=1,
    at_most=1,
)


def run(shell: Shell, words: list[str], **options: Any) -> int:
    """Print the new network's ID."""
    body = {
        "Name": words[0],
        "Driver": options["driver"],
        "Scope": options["scope"],
        "EnableIPv4": options["ipv4"],
        "EnableIPv6": options["ipv6"],
        "Internal": options["internal"],
        "Attachable": options["attachable"],
        "Ingress": options["ingress"],
        "ConfigOnly": options["config_only"],
        "ConfigFrom": {"Network": options["config_from"]} if options["config_from"] else None,
        "IPAM": {
            "Driver": options["ipam_driver"],
            "Options": pairs_of(options["ipam_opt"]),
            "Config": pools_of(options),
        },
        "Options": pairs_of(options["opt"]),
        "Labels": labels_of(options["label"]),
    }
    for key in ("EnableIPv4", "EnableIPv6"):
        if body[key] is None:
            del body[key]
    identifier, warning = shell.client.networks.create(body)
    if warning:
        shell.say(f"WARNING: {warning}")
    shell.out.line(identifier)
    return 0


def pools_of(options: dict[str, Any]) -> list[dict[str, Any]]:
    """Put ranges, gateways and auxiliary addresses with the subnet each lies in."""
    import ipaddress

    from boxship.errors import InvalidRequest

    if not options["subnet"] and (options["ip_range"] or options["gateway"]):
        raise InvalidRequest("every ip-range or gateway must have a corresponding subnet")
    try:
        subnets = [
            (ipaddress.ip_network(text, strict=False), {"Subnet": text})
            for text in options["subnet"]
        ]
    except ValueError as error:
        raise InvalidRequest(f"invalid subnet: {error}") from error
    for at, (first, _) in enumerate(subnets):
        for second, _ in subnets[at + 1 :]:
            if first.version == second.version and first.overlaps(second):
                raise InvalidRequest("multiple overlapping subnet configuration is not supported")
    pools: list[tuple[Any, dict[str, Any]]] = [(net, dict(pool)) for net, pool in subnets]

    def pool_of(address: str, what: str) -> dict[str, Any]:
        try:
            inside = ipaddress.ip_network(address, strict=False)
        except ValueError as error:
            raise InvalidRequest(f"invalid {what}: {error}") from error
        for net, pool in pools:
            if net.version == inside.version and inside.subnet_of(net):
                return pool
        raise InvalidRequest(f"no matching subnet for {what} {address}")

    for text in options["ip_range"]:
        pool_of(text, "range")["IPRange"] = text
    for text in options["gateway"]:
        pool_of(text, "gateway")["Gateway"] = text
    for name, address in pairs_of(options["aux_address"]).items():
        pool_of(address, "aux-address").setdefault("AuxiliaryAddresses", {})[name] = address
    return [pool for _, pool in pools]
