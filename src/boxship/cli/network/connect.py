"""Connect a container to a network."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.options import pairs_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="connect [OPTIONS] NETWORK CONTAINER",
    summary="Connect a container to a network",
    names=("network connect",),
    flags=(
        Flag("alias", "", "Further name of the container within the network", "array"),
        Flag("driver-opt", "", "Options of the network's driver", "array"),
        Flag("gw-priority", "", "The highest gives the default gateway", "int", 0),
        Flag("ip", "", "IPv4 address", "ip", ""),
        Flag("ip6", "", "IPv6 address", "ip", ""),
        Flag("link", "", "Link to another container", "list"),
        Flag("link-local-ip", "", "Link-local addresses", "array"),
    ),
    at_least=2,
    at_most=2,
    words="network",
)


def run(shell: Shell, words: list[str], **options: Any) -> int:
    """Put the container on the network."""
    from boxship.cli.container.networking import endpoint

    network, container = words
    settings = endpoint()
    settings["IPAMConfig"] = {
        key: value
        for key, value in (
            ("IPv4Address", options["ip"]),
            ("IPv6Address", options["ip6"]),
            ("LinkLocalIPs", options["link_local_ip"]),
        )
        if value
    }
    settings["Links"] = options["link"] or None
    settings["Aliases"] = options["alias"] or None
    settings["DriverOpts"] = pairs_of(options["driver_opt"]) or None
    settings["GwPriority"] = options["gw_priority"]
    shell.client.networks.connect(network, container, settings)
    return 0
