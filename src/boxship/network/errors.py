"""The package's own failures."""

from __future__ import annotations

from boxship.errors import BoxshipError, Conflict, Forbidden, InvalidRequest, NotFound


class NoSuchNetwork(NotFound):
    """No network has this ID, ID prefix or name."""

    def __init__(self, ref: str) -> None:
        super().__init__(f"network {ref} not found")
        self.ref = ref


class AmbiguousNetwork(InvalidRequest):
    """Several networks could be meant."""

    def __init__(self, ref: str, count: int, by: str = "ID prefix") -> None:
        super().__init__(f"network {ref} is ambiguous ({count} matches found based on {by})")


class NetworkExists(Conflict):
    """The name is taken."""

    def __init__(self, name: str) -> None:
        super().__init__(f"network with name {name} already exists")


class PredefinedNetwork(Forbidden):
    """The engine's own networks stay as they are."""


class ActiveEndpoints(Forbidden):
    """A network with containers on it cannot go."""


class NoSuchDriver(InvalidRequest):
    """No network driver has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f'plugin "{name}" not found')


class PoolOverlap(Forbidden):
    """The range asked for is in use already."""

    def __init__(self) -> None:
        super().__init__("Pool overlaps with other one on this address space")


class PoolsExhausted(InvalidRequest):
    """No range is left to give to a new network."""

    def __init__(self) -> None:
        super().__init__("all predefined address pools have been fully subnetted")


class AddressInUse(BoxshipError):
    """The address asked for belongs to somebody."""

    def __init__(self) -> None:
        super().__init__("Address already in use")


class NoAddressLeft(BoxshipError):
    """Every address of the network is given out."""


class AddressOutside(InvalidRequest):
    """The address asked for is in none of the network's ranges."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"invalid endpoint settings:\nno configured subnet contains IP address {address}"
        )


class PortUnavailable(BoxshipError):
    """A host port cannot be had."""


class InvalidPort(InvalidRequest):
    """A port or binding that cannot be meant."""


class NotConnected(Forbidden):
    """The container has no endpoint on the network."""

    def __init__(self, container: str, network: str) -> None:
        super().__init__(f"container {container} is not connected to network {network}")


class AlreadyConnected(Forbidden):
    """The container has an endpoint on the network."""

    def __init__(self, name: str, network: str) -> None:
        super().__init__(f"{name} is already attached to network {network}")


class InvalidNetworkConfig(InvalidRequest):
    """What a network should be like contradicts itself."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("invalid network config:\n" + "\n".join(reasons))


class NoNamespace(BoxshipError):
    """The container whose namespace is to be shared does not run."""
