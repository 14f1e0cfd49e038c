"""Disconnect a container from a network."""

from __future__ import annotations

from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="disconnect [OPTIONS] NETWORK CONTAINER",
    summary="Disconnect a container from a network",
    names=("network disconnect",),
    flags=(Flag("force", "f", "Disconnect it even when that cannot be done properly"),),
    at_least=2,
    at_most=2,
    words="network",
)


def run(shell: Shell, words: list[str], *, force: bool) -> int:
    """Take the container off the network."""
    network, container = words
    shell.client.networks.disconnect(network, container, force=force)
    return 0
