"""What networks ask of other parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from boxship.model.ids import ContainerId, SandboxId
from boxship.spec.engine.container import EndpointSettings


class Publisher(Protocol):
    """Makes events known."""

    def publish(
        self, type: str, action: str, id: str, attributes: Mapping[str, str], scope: str = "local"
    ) -> None:
        """Tell whoever listens; may be called from any thread."""


@dataclass(frozen=True, slots=True)
class Attachable:
    """A container, as far as networks are concerned."""

    id: ContainerId
    name: str  # without a slash
    hostname: str
    mode: str  # HostConfig.NetworkMode
    pid: int | None  # of its init, when it runs
    endpoints: Mapping[str, EndpointSettings] = field(default_factory=dict)


class Containers(Protocol):
    """Knows containers and keeps what they are connected to."""

    def attachable(self, ref: str) -> Attachable:
        """Return a container by ID, prefix or name; raises its own NotFound."""

    def keep_endpoint(
        self,
        container: ContainerId,
        network: str,
        settings: EndpointSettings | None,
        shown: EndpointSettings | None,
        record: bytes | None,
    ) -> None:
        """Keep, under a network's name, what was asked of an endpoint, for every later start.

        None: there is none any more. `shown` is what it is now, with addresses, and `record`
        the new sandbox record, of a running container.
        """


class NameServer(Protocol):
    """Answers DNS questions inside sandboxes of user-defined networks, at 127.0.0.11."""

    address: str

    def open(self, sandbox: SandboxId, namespace: int) -> None:
        """Begin to answer in a namespace."""

    def close(self, sandbox: SandboxId) -> None:
        """Stop answering for a sandbox."""
