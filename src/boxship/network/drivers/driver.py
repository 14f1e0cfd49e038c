"""What a network driver does, whatever the network is made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from boxship.network.namespaces import Namespace
from boxship.network.record import Endpoint, Network, Publication


class Driver(Protocol):
    """Makes networks of one kind exist in the kernel.

    Every method may be called again after it succeeded: what is there already stays.
    """

    name: str
    addressed: bool  # its networks have subnets, given out by the engine

    def check(self, network: Network) -> Network:
        """Refuse options that cannot be meant; return the network with defaults filled in."""

    def create(self, network: Network) -> None:
        """Make the network exist in the kernel."""

    def remove(self, network: Network) -> None:
        """Delete what `create` made."""

    def join(
        self, network: Network, endpoint: Endpoint, namespace: Namespace, *, default_route: bool
    ) -> None:
        """Put an endpoint's link into a namespace, with its addresses and routes."""

    def leave(self, network: Network, endpoint: Endpoint) -> None:
        """Take an endpoint's link away at once; costs about 30 ms."""

    def set_default_route(
        self, network: Network, endpoint: Endpoint, namespace: Namespace, *, wanted: bool
    ) -> None:
        """Let what is for elsewhere leave by this endpoint, or no longer."""

    def restore(
        self,
        networks: Iterable[Network],
        endpoints: Iterable[Endpoint],
        published: Iterable[Publication],
    ) -> None:
        """After a start of the daemon: keep what these need, delete everything else of ours."""

    def publish(
        self, add: Iterable[Publication] = (), *, remove: Iterable[Publication] = ()
    ) -> None:
        """Let the host answer for ports of containers, or no longer."""
