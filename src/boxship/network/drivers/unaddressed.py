"""Networks without links of their own: `host` shares the host's, `null` has the loopback only."""

from __future__ import annotations

from collections.abc import Iterable

from boxship.network.errors import PredefinedNetwork
from boxship.network.namespaces import Namespace
from boxship.network.record import Endpoint, Network, Publication


class Unaddressed:
    """A driver that has nothing to make."""

    addressed = False

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, network: Network) -> Network:
        """Only the engine's own network of the kind is allowed."""
        if network.user_defined:
            raise PredefinedNetwork(f'only one instance of "{self.name}" network is allowed')
        return network

    def create(self, network: Network) -> None:
        """There is nothing to make."""

    def remove(self, network: Network) -> None:
        """There is nothing to delete."""

    def join(
        self, network: Network, endpoint: Endpoint, namespace: Namespace, *, default_route: bool
    ) -> None:
        """There is no link."""

    def leave(self, network: Network, endpoint: Endpoint) -> None:
        """There is no link."""

    def set_default_route(
        self, network: Network, endpoint: Endpoint, namespace: Namespace, *, wanted: bool
    ) -> None:
        """There is no route."""

    def restore(
        self,
        networks: Iterable[Network],
        endpoints: Iterable[Endpoint],
        published: Iterable[Publication],
    ) -> None:
        """There is nothing to keep."""

    def publish(
        self, add: Iterable[Publication] = (), *, remove: Iterable[Publication] = ()
    ) -> None:
        """Nothing can be published."""
