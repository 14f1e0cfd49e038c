"""Show published ports."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.cli.container.publishing import sorted_ports

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="port CONTAINER [PRIVATE_PORT[/PROTO]]",
    summary="List port mappings or a specific mapping for the container",
    names=(
        "container port",
        "port",
    ),
    at_least=1,
    at_most=2,
    words="container",
)


def run(shell: Shell, words: list[str]) -> int:
    """Print each mapping, or those of one port."""
    ref, *asked = words
    found = shell.client.containers.inspect(ref)
    ports: dict[str, list[dict[str, str]]] = found["NetworkSettings"].get("Ports") or {}
    if asked:
        number, _, kind = asked[0].partition("/")
        bindings = ports.get(f"{number}/{kind or 'tcp'}")
        if not bindings:
            return shell.report(f"Error: No public port '{asked[0]}' published for {ref}")
        lines = [address(binding) for binding in bindings]
    else:
        lines = [
            f"{port} -> {address(binding)}"
            for port in sorted_ports(ports)
            for binding in ports[port] or []
        ]
    for line in lines:
        shell.out.line(line)
    return 0


def address(binding: dict[str, str]) -> str:
    """Return `0.0.0.0:8080`, an IPv6 address in brackets."""
    host = binding.get("HostIp", "")
    return f"[{host}]:{binding['HostPort']}" if ":" in host else f"{host}:{binding['HostPort']}"
