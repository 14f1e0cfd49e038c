"""Connections to further networks, made and ended while a container runs, or kept for its start."""

from __future__ import annotations

from collections.abc import Callable

from boxship.errors import Forbidden
from boxship.model.ids import ContainerId
from boxship.network import plan
from boxship.network.errors import AlreadyConnected, NotConnected
from boxship.network.needs import Attachable, Containers
from boxship.network.plan import Attachment
from boxship.network.record import HOST, Network
from boxship.network.sandbox import SandboxRequest
from boxship.network.sandboxes import Sandboxes, encode
from boxship.spec.engine.container import EndpointSettings


class Connections:
    """Joins containers to networks and takes them off, in worker threads."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        containers: Containers,
        tell: Callable[[Network, str, ContainerId], None],
    ) -> None:
        """`tell` makes known what happened to a container on a network."""
        self._sandboxes = sandboxes
        self._containers = containers
        self._tell = tell

    def connect(self, to: Attachable, network: Network, settings: EndpointSettings) -> None:
        """Join a container to a further network."""
        plan.check_connect(to.mode, network)
        plan.check_settings(network, settings)
        record = self._sandboxes.open_now.get(to.id)
        joined = record is not None and any(one.network == network.id for one in record.endpoints)
        if joined or network.name in to.endpoints:
            raise AlreadyConnected(to.name, network.name)
        if to.pid is None or record is None:
            kept = plan.unconnected(network, settings)
            self._containers.keep_endpoint(to.id, network.name, kept, None, None)
            return
        request = SandboxRequest(container=to.id, name=to.name, hostname=to.hostname, mode=to.mode)
        record, endpoint = self._sandboxes.join(request, Attachment(network, settings), to.pid)
        shown = plan.shown(network, endpoint)
        asked = plan.unconnected(network, settings)
        self._containers.keep_endpoint(to.id, network.name, asked, shown, encode(record))
        self._tell(network, "connect", to.id)

    def disconnect(self, of: Attachable, network: Network, *, force: bool) -> None:
        """Take a container off a network."""
        if network.name == HOST:
            raise Forbidden(
                "cannot disconnect container from host network - "
                "container was created in host network mode"
            )
        record = self._sandboxes.open_now.get(of.id)
        joined = record is not None and any(one.network == network.id for one in record.endpoints)
        if not joined and network.name not in of.endpoints:
            raise NotConnected(of.id, network.name)
        kept = None
        if joined:
            try:
                kept = encode(self._sandboxes.part(of.id, network, of.pid))
            except OSError:
                if not force:
                    raise
        self._containers.keep_endpoint(of.id, network.name, None, None, kept)
        if joined:
            self._tell(network, "disconnect", of.id)
