"""Networks: the verbs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from boxship.errors import Forbidden
from boxship.model.ids import ContainerId, NetworkId
from boxship.network import creation, defaults, plan, selection
from boxship.network.config import NetworkConfig
from boxship.network.connections import Connections
from boxship.network.creation import NetworkRequest
from boxship.network.drivers.bridge import BridgeDriver
from boxship.network.drivers.bridge_options import Policy, refuse_same_bridge
from boxship.network.drivers.driver import Driver
from boxship.network.drivers.unaddressed import Unaddressed
from boxship.network.errors import (
    ActiveEndpoints,
    NetworkExists,
    NoSuchDriver,
    NoSuchNetwork,
    PredefinedNetwork,
)
from boxship.network.files import SandboxFiles
from boxship.network.firewall import Firewall, News
from boxship.network.forwarding import Forwarding
from boxship.network.namespaces import Namespace, Namespaces, read_setting
from boxship.network.needs import Containers, NameServer, Publisher
from boxship.network.opening import Opening
from boxship.network.plan import Attachment
from boxship.network.pools import NetworkAddresses
from boxship.network.ports import HostPorts, ephemeral_range
from boxship.network.record import BRIDGE, HOST, NONE, Endpoint, Network, Prefix
from boxship.network.sandbox import Sandbox, SandboxRequest
from boxship.network.sandboxes import Sandboxes, decode, encode
from boxship.network.selection import Filters
from boxship.network.tables import Table
from boxship.spec.engine.container import EndpointSettings
from boxship.store.database import Database

LINGER: Final = 1.0  # seconds after which a link should have gone with its namespace
SETTLE: Final = 0.02  # seconds after news of the firewall in which more is likely to come


Timed = Callable[[str, float], None]


class Networks:
    """Networks, and the containers on them."""

    def __init__(
        self,
        database: Database,
        config: NetworkConfig,
        *,
        publisher: Publisher,
        containers: Containers,
        run_folder: str,
        now: Callable[[], str],
        host_seed: bytes = b"",
        name_server: NameServer | None = None,
    ) -> None:
        """`now` tells the time in RFC 3339; `host_seed` makes this host's IPv6 ranges its own."""
        self.timed: Timed | None = None  # hears how long each action has taken
        self._config = config
        self._publisher = publisher
        self._containers = containers
        self._now = now
        self._seed = host_seed or config.owner.encode()
        self._turn = threading.RLock()
        self._table = Table(database)
        self._firewall = Firewall(config.owner) if config.iptables else None
        self._namespaces = Namespaces()
        policy = Policy(
            forward=config.ip_forward,
            no_router=not config.ip_forward_no_drop,
            filter6=config.ip6tables,
            direct=config.allow_direct_routing,
        )
        forwarding = Forwarding(os.path.join(run_folder, "forwarding"))
        self._bridges = BridgeDriver(
            config.owner, self._namespaces, self._firewall, forwarding, policy
        )
        self._drivers: dict[str, Driver] = {
            driver.name: driver
            for driver in (self._bridges, Unaddressed("host"), Unaddressed("null"))
        }
        host_ports = HostPorts(ephemeral_range(read_setting))
        self._sandboxes = Sandboxes(self._drivers, self._namespaces, host_ports)
        self._host_ports = host_ports
        self._departing = asyncio.Event()
        self._opening = Opening(
            self._sandboxes,
            SandboxFiles(config, name_server),
            self._namespaces,
            containers,
            run_folder,
            name_server,
        )
        self._connections = Connections(self._sandboxes, containers, self._tell)
        self._networks = self._table.all()
        self._add_predefined()
        for network in self._networks.values():
            self._sandboxes.add_network(network)

    # ---- looking

    def resolve(self, ref: str) -> Network:
        """Return a network by ID, name or unique ID prefix."""
        return selection.find(self._networks.values(), ref)

    def list(self, filters: Filters | None = None) -> Sequence[Network]:
        """Return the networks that pass the filters, the oldest first."""
        used = {one.id for one in self._networks.values() if self.endpoints(one.id)}
        chosen = selection.select(self._networks.values(), filters or {}, {*used})
        return sorted(chosen, key=lambda one: (one.created, one.name))

    def endpoints(self, network: NetworkId) -> Sequence[Endpoint]:
        """Return the endpoints of running containers on a network."""
        return self._sandboxes.endpoints(network)

    def addresses(self, network: NetworkId) -> NetworkAddresses:
        """Return a network's address pools, to be counted."""
        return self._sandboxes.pools(network)

    @property
    def driver_names(self) -> Sequence[str]:
        """The drivers there are, for people."""
        return sorted(self._drivers)

    @property
    def warnings(self) -> Sequence[str]:
        """What on this host stands in the way, for people."""
        return list(self._firewall.warnings) if self._firewall else []

    # ---- networks

    async def create(self, request: NetworkRequest) -> Network:
        """Make a network."""
        creation.check(request)
        driver = self._drivers.get(request.driver or "bridge")
        if driver is None:
            raise NoSuchDriver(request.driver)
        return await asyncio.to_thread(self._create, request, driver)

    async def remove(self, ref: str) -> Network:
        """Remove a network that no running container is on."""
        return await asyncio.to_thread(self._remove, self.resolve(ref))

    async def prune(self, filters: Filters, before: int | None = None) -> Sequence[str]:
        """Remove the networks without endpoints; return their names.

        `before` spares what was made later, in nanoseconds since 1970.
        """
        chosen = [
            one
            for one in self.list()
            if selection.prunable(one, filters, before) and not self.endpoints(one.id)
        ]
        gone = []
        for network in chosen:
            with contextlib.suppress(ActiveEndpoints, NoSuchNetwork):
                await asyncio.to_thread(self._remove, network)
                gone.append(network.name)
        self._publisher.publish("network", "prune", "", {"reclaimed": "0"})
        return gone

    async def connect(self, container: str, network: str, settings: EndpointSettings) -> None:
        """Join a container to a further network, now if it runs."""
        to, joined = self._containers.attachable(container), self.resolve(network)
        await asyncio.to_thread(self._connections.connect, to, joined, settings)

    async def disconnect(self, container: str, network: str, *, force: bool = False) -> None:
        """Take a container off a network, now if it runs."""
        of, left = self._containers.attachable(container), self.resolve(network)
        await asyncio.to_thread(self._connections.disconnect, of, left, force=force)

    # ---- sandboxes

    def check(self, request: SandboxRequest) -> None:
        """Refuse, when a container is made, what could not work when it starts."""
        self._attachments(request)

    async def open_sandbox(self, request: SandboxRequest) -> Sandbox:
        """Make ready the network side of a container that is about to start."""
        return await asyncio.to_thread(self.open_now, request)

    def take_namespace(self) -> Namespace:
        """Return a namespace that a sandbox is to be opened in; it may have to be made."""
        return self._namespaces.take()

    def open_now(self, request: SandboxRequest, namespace: Namespace | None = None) -> Sandbox:
        """Do the same in a worker thread. A `namespace` is the sandbox's, or closed, then."""
        begun = time.monotonic()
        opened = self._open(request, namespace)
        if self.timed is not None:
            self.timed("allocate", time.monotonic() - begun)
        return opened

    async def close_sandbox(self, container: ContainerId) -> None:
        """Give back what the container's network side had; fine when there is none."""
        await asyncio.to_thread(self.close_now, container)
        self.closed()

    def close_now(self, container: ContainerId) -> None:
        """Do the same in a worker thread; `closed` follows."""
        begun, was_open = time.monotonic(), container in self._sandboxes.open_now
        self._close_sandbox(container)
        if self.timed is not None and was_open:
            self.timed("release", time.monotonic() - begun)

    def closed(self) -> None:
        """Have links looked after whose sandboxes were closed."""
        if self._sandboxes.departed:
            self._departing.set()

    def started(self, container: ContainerId, pid: int) -> None:
        """Note which process holds a sandbox's namespace: its key then leads there."""
        self._opening.point_key(container, pid)

    def renamed(self, container: ContainerId, name: str) -> bytes | None:
        """Note a container's new name; return its new sandbox record, if it is open."""
        record = self._sandboxes.rename(container, name)
        return encode(record) if record else None

    async def restore(
        self, records: Mapping[ContainerId, bytes], init_pids: Mapping[ContainerId, int]
    ) -> Sequence[str]:
        """After a start of the daemon: own again what running containers have, clear the rest.

        Returns what could not be had again, for the log.
        """
        return await asyncio.to_thread(self._restore, records, init_pids)

    def leaks(self) -> Sequence[str]:
        """Name what this daemon's mark is on in the kernel and nobody here knows of."""
        return self._bridges.leaks(
            self._networks.values(), self._sandboxes.open_now.values(), self._sandboxes.departed
        )

    def leftovers(self) -> Iterator[str]:
        """Say the same in sentences, for the ledger of the whole engine."""
        yield from (f"network: {leak} belongs to no running container" for leak in self.leaks())

    # ---- the daemon's life

    async def watch(self) -> None:
        """Keep things as they should be; runs until cancelled.

        The firewall is put back whenever somebody takes it away. Links are deleted whose
        container has ended while some process still holds its namespace.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._sweep_links())
            if self._firewall is not None:
                tasks.create_task(self._watch_firewall(self._firewall))

    def close(self) -> None:
        """Stop: what running containers need stays, otherwise only bridges are left."""
        if self._firewall is not None:
            if not self._sandboxes.open_now:
                self._bridges.forsake()
            self._firewall.close()
        self._host_ports.close()
        self._namespaces.close()
        self._bridges.close()

    # ---- steps

    async def _watch_firewall(self, firewall: Firewall) -> None:
        watcher = firewall.watcher()
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        try:
            while True:
                loop.add_reader(watcher.fileno(), heard.set)
                await heard.wait()
                loop.remove_reader(watcher.fileno())  # or it would be called until all is read
                heard.clear()
                await asyncio.sleep(SETTLE)
                told = await asyncio.to_thread(watcher.news)
                if told is not News.NOTHING:
                    await asyncio.to_thread(firewall.heed, told)
        finally:
            loop.remove_reader(watcher.fileno())
            watcher.close()

    async def _sweep_links(self) -> None:
        while True:
            self._departing.clear()
            await self._departing.wait()
            while count := len(self._sandboxes.departed):
                await asyncio.sleep(LINGER)
                await asyncio.to_thread(self._sandboxes.sweep, count)

    def _add_predefined(self) -> None:
        created = self._now()
        made = []
        for name in (HOST, NONE):
            known = defaults.by_name(self._networks, name)
            made.append(
                defaults.unaddressed(
                    name, known, id=NetworkId(secrets.token_hex(32)), created=created
                )
            )
        known = defaults.by_name(self._networks, BRIDGE)
        if self._config.bridge != "none":
            taken = [*self._own_ranges(BRIDGE), *self._bridges.subnets_in_use()]
            present = self._bridges.address_of(self._config.bridge)
            identifier = NetworkId(secrets.token_hex(32))
            bridge = defaults.default_bridge(
                self._config,
                known,
                present,
                taken,
                id=identifier,
                created=created,
                host_seed=self._seed,
            )
            made.append(self._bridges.check(bridge))
        elif known is not None:
            del self._networks[known.id]
            self._table.delete(known.id)
        for network in made:
            if self._networks.get(network.id) != network:
                self._table.put(network)
            self._networks[network.id] = network

    def _own_ranges(self, but: str = "") -> Sequence[Prefix]:
        return [
            subnet.prefix
            for network in self._networks.values()
            if network.name != but and not network.config_only
            for subnet in network.subnets
        ]

    def _create(self, request: NetworkRequest, driver: Driver) -> Network:
        with self._turn:
            if any(one.name == request.name for one in self._networks.values()):
                raise NetworkExists(request.name)
            request = self._from_configuration(request)
            network = creation.build(
                request,
                self._config,
                id=NetworkId(secrets.token_hex(32)),
                created=self._now(),
                own=self._own_ranges(),
                on_host=self._bridges.subnets_in_use,
                host_seed=self._seed,
                addressed=driver.addressed,
            )
            if not network.config_only:
                network = driver.check(network)
                if driver is self._bridges:
                    refuse_same_bridge(network, self._networks.values())
            # the record first: a bridge without one is an orphan, cleared at the next start
            self._table.put(network)
            try:
                if not network.config_only:
                    driver.create(network)
            except BaseException:
                self._table.delete(network.id)
                raise
            self._networks[network.id] = network
            self._sandboxes.add_network(network)
        self._tell(network, "create")
        return network

    def _from_configuration(self, request: NetworkRequest) -> NetworkRequest:
        if not request.config_from:
            return request
        source = self.resolve(request.config_from)
        if not source.config_only:
            raise Forbidden(f"{request.config_from} is not a configuration network")
        return creation.configured(request, source)

    def _remove(self, network: Network) -> Network:
        if network.predefined:
            raise PredefinedNetwork(
                f"{network.name} is a pre-defined network and cannot be removed"
            )
        with self._turn:
            if network.id not in self._networks:
                raise NoSuchNetwork(network.name)
            endpoints = self.endpoints(network.id)
            if endpoints:
                active = ", ".join(
                    f'name:"{one.container_name}" id:"{one.id[:12]}"' for one in endpoints
                )
                raise ActiveEndpoints(
                    f"error while removing network: network {network.name} has active "
                    f"endpoints ({active})"
                )
            users = [one.name for one in self._networks.values() if one.config_from == network.name]
            if users:
                raise Forbidden(f"configuration network {network.name!r} is in use")
            if not network.config_only:
                self._drivers[network.driver].remove(network)
            self._table.delete(network.id)
            del self._networks[network.id]
            self._sandboxes.forget_network(network.id)
        self._tell(network, "destroy")
        return network

    def _attachments(self, request: SandboxRequest) -> Sequence[Attachment]:
        """Work out which networks a container is to be joined to, and how."""
        if not plan.is_private(request.mode):
            return []
        main = self.resolve(plan.network_of(request.mode))
        asked = request.endpoints
        if asked is None or main.name == NONE:
            asked = {main.name: EndpointSettings()}
        found: dict[NetworkId, Attachment] = {}
        for name, settings in asked.items():
            network = self.resolve(plan.network_of(name))
            if network is main and request.mac and not settings.mac_address:
                settings = plan.with_mac(settings, request.mac)
            found[network.id] = Attachment(network, settings)
        for attachment in found.values():
            plan.check_settings(attachment.network, attachment.settings)
            if attachment.network.config_only:
                raise Forbidden(
                    f"configuration network {attachment.network.name!r} cannot be used directly"
                )
        return list(found.values())

    def _open(self, request: SandboxRequest, namespace: Namespace | None) -> Sandbox:
        shared = plan.shares_with(request.mode)
        if shared is not None:
            return self._opening.shared(request, shared)
        if request.mode == HOST:
            sandbox = self._opening.on_host(request, self.resolve(HOST))
        else:
            with contextlib.ExitStack() as undo:
                if namespace is not None:
                    undo.callback(namespace.close)
                attachments = self._attachments(request)
                undo.pop_all()
            sandbox = self._opening.private(request, attachments, namespace)
        self._tell_endpoints(request.container, "connect")
        return sandbox

    def _close_sandbox(self, container: ContainerId) -> None:
        record = self._sandboxes.open_now.get(container)
        if record is None:
            return
        told = record.endpoints
        self._opening.close(container)
        for endpoint in told:
            network = self._networks.get(endpoint.network)
            if network is not None:
                self._tell(network, "disconnect", container)

    def _restore(
        self, records: Mapping[ContainerId, bytes], init_pids: Mapping[ContainerId, int]
    ) -> Sequence[str]:
        troubles = self._sandboxes.restore(decode(data) for data in records.values() if data)
        for container, pid in init_pids.items():
            self._opening.point_key(container, pid)
        self._opening.clear_keys(set(records))
        return troubles

    def _tell_endpoints(self, container: ContainerId, action: str) -> None:
        record = self._sandboxes.open_now.get(container)
        for endpoint in record.endpoints if record else ():
            network = self._networks.get(endpoint.network)
            if network is not None:
                self._tell(network, action, container)

    def _tell(self, network: Network, action: str, container: ContainerId | None = None) -> None:
        attributes = {"name": network.name, "type": network.driver}
        if container is not None:
            attributes["container"] = container
        self._publisher.publish("network", action, network.id, attributes)
