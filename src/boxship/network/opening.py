"""Opening sandboxes of each mode, and the keys by which people find their namespaces."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Sequence
from contextlib import ExitStack

from boxship.kernel import namespaces as kernel_namespaces
from boxship.model.ids import SHORT, ContainerId
from boxship.network import plan, ports
from boxship.network.errors import NoNamespace
from boxship.network.files import SandboxFiles
from boxship.network.namespaces import Namespace, Namespaces
from boxship.network.needs import Containers, NameServer
from boxship.network.plan import Attachment
from boxship.network.record import Network, SandboxRecord
from boxship.network.sandbox import Sandbox, SandboxRequest
from boxship.network.sandboxes import Sandboxes, encode


class Opening:
    """Turns what a container asks for into a sandbox."""

    def __init__(
        self,
        sandboxes: Sandboxes,
        files: SandboxFiles,
        namespaces: Namespaces,
        containers: Containers,
        run_folder: str,
        name_server: NameServer | None,
    ) -> None:
        self._sandboxes = sandboxes
        self._files = files
        self._namespaces = namespaces
        self._containers = containers
        self._folder = os.path.join(run_folder, "netns")
        self._name_server = name_server

    def private(
        self,
        request: SandboxRequest,
        attachments: Sequence[Attachment],
        namespace: Namespace | None = None,
    ) -> Sandbox:
        """Open a namespace of the container's own."""
        record, namespace = self._sandboxes.open(request, attachments, namespace)
        networks, endpoints = self._sandboxes.networks, record.endpoints
        with ExitStack() as undo:
            undo.callback(self.close, request.container)
            undo.callback(namespace.close)
            named = any(networks[one.network].user_defined for one in endpoints)
            if named and self._name_server is not None:
                self._name_server.open(record.id, namespace.descriptor)
            leaving = plan.way_out(endpoints, networks)
            subnets = networks[leaving.network].subnets if leaving else ()
            gateways = [subnet.gateway for subnet in subnets if subnet.gateway]
            addresses = [text for one in endpoints for text in (one.ipv4, one.ipv6) if text]
            ipv6 = any(one.ipv6 for one in endpoints)
            sandbox = Sandbox(
                id=record.id,
                key=self._key(request.container),
                netns=namespace.descriptor,
                settings={
                    networks[one.network].name: plan.shown(networks[one.network], one)
                    for one in endpoints
                },
                ports=ports.shown(record.publications, [*request.exposed, *request.ports]),
                hosts=self._files.hosts(request, addresses, gateways),
                resolv_conf=self._files.resolv_conf(
                    request, ipv6=ipv6, own_namespace=True, named=named
                ),
                record=encode(record),
            )
            undo.pop_all()
        namespace.netlink.close()  # the descriptor is the sandbox's from now on
        return sandbox

    def on_host(self, request: SandboxRequest, network: Network) -> Sandbox:
        """Use the host's own namespace."""
        endpoint = self._sandboxes.unaddressed(request, network)
        record = self._sandboxes.open_shared(request, [endpoint])
        return Sandbox(
            id=record.id,
            key="/proc/1/ns/net",
            netns=None,
            settings={network.name: plan.shown(network, endpoint)},
            ports={},
            hosts=self._files.host_hosts(request),
            resolv_conf=self._files.resolv_conf(request, ipv6=True, own_namespace=False),
            record=encode(record),
        )

    def shared(self, request: SandboxRequest, other: str) -> Sandbox:
        """Use the namespace of another container, which must run."""
        found = self._containers.attachable(other)
        if found.id == request.container:
            raise NoNamespace("cannot join own network namespace")
        if found.pid is None:
            raise NoNamespace(
                "cannot join network namespace of a non running container: "
                f"container {found.name} is not running"
            )
        netns = kernel_namespaces.open_namespace(found.pid, "network")
        record = self._sandboxes.open_shared(request, [], shares=found.id)
        return Sandbox(
            id=record.id,
            key=self._key(found.id),
            netns=netns,
            settings={},
            ports={},
            hosts=b"",
            resolv_conf=b"",
            record=encode(record),
        )

    def close(self, container: ContainerId) -> SandboxRecord | None:
        """Give back what a sandbox had, and its key."""
        record = self._sandboxes.close(container)
        if record is not None and self._name_server is not None:
            self._name_server.close(record.id)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._key(container))
        return record

    def point_key(self, container: ContainerId, pid: int) -> None:
        """Let the key lead to the namespace that a process is in."""
        key, target = self._key(container), f"/proc/{pid}/ns/net"
        try:
            os.symlink(target, key)
        except OSError:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(key)
            os.symlink(target, key)

    def clear_keys(self, kept: Collection[ContainerId]) -> None:
        """Remove the keys of sandboxes that are no more."""
        names = {container[:SHORT] for container in kept}
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                if name not in names:
                    os.unlink(os.path.join(self._folder, name))

    def _key(self, container: ContainerId) -> str:
        return os.path.join(self._folder, container[:SHORT])
