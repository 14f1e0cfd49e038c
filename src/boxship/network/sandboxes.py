"""Sandboxes: opening and closing the network side of containers; adding and taking endpoints."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

import msgspec

from boxship.kernel import namespaces as kernel_namespaces
from boxship.kernel.netlink import route
from boxship.model.ids import ContainerId, EndpointId, NetworkId, SandboxId
from boxship.network import names, plan, ports
from boxship.network.drivers.bridge_options import BridgeOptions
from boxship.network.drivers.driver import Driver
from boxship.network.errors import AddressInUse, AddressOutside, PortUnavailable
from boxship.network.namespaces import LOOPBACK, Namespace, Namespaces
from boxship.network.plan import Attachment
from boxship.network.pools import NetworkAddresses, mac_of
from boxship.network.ports import ANY, ANY_V6, HostPorts, Wanted
from boxship.network.record import Endpoint, Network, Publication, SandboxRecord
from boxship.network.sandbox import SandboxRequest
from boxship.spec.engine.container import EndpointIPAMConfig, EndpointSettings

EPHEMERAL_TRIES: Final = 16
MOST_DEPARTED: Final = 4096


class Sandboxes:
    """The open sandboxes, and who has which address and host port.

    Bookkeeping is done under a lock, kernel work outside it: containers start side by side.
    """

    def __init__(
        self, drivers: Mapping[str, Driver], namespaces: Namespaces, host_ports: HostPorts
    ) -> None:
        self._drivers = drivers
        self._namespaces = namespaces
        self._ports = host_ports
        self._turn = threading.RLock()
        self._addresses: dict[NetworkId, NetworkAddresses] = {}
        self.networks: dict[NetworkId, Network] = {}
        self.open_now: dict[ContainerId, SandboxRecord] = {}
        # links that should be gone by themselves soon
        self.departed: deque[Endpoint] = deque(maxlen=MOST_DEPARTED)

    # ---- networks

    def add_network(self, network: Network) -> None:
        """Know a network's addresses from now on."""
        with self._turn:
            self.networks[network.id] = network
            self._addresses[network.id] = NetworkAddresses(network)

    def forget_network(self, network: NetworkId) -> None:
        """Its addresses are nobody's any more."""
        with self._turn:
            self.networks.pop(network, None)
            self._addresses.pop(network, None)

    def endpoints(self, network: NetworkId) -> list[Endpoint]:
        """Return the endpoints on a network."""
        with self._turn:
            return [
                endpoint
                for record in self.open_now.values()
                for endpoint in record.endpoints
                if endpoint.network == network
            ]

    def pools(self, network: NetworkId) -> NetworkAddresses:
        """Return a network's addresses, for counting."""
        return self._addresses[network]

    # ---- sandboxes

    def open(
        self,
        request: SandboxRequest,
        attachments: Sequence[Attachment],
        namespace: Namespace | None = None,
    ) -> tuple[SandboxRecord, Namespace]:
        """Join a new namespace to networks; nothing is left of one that fails."""
        with ExitStack() as undo:
            namespace = namespace or self._namespaces.take()
            undo.callback(namespace.close)
            endpoints = self._endpoints(request, attachments, undo)
            leaving = plan.way_out(endpoints, self.networks)
            published = self._publications(request, leaving, undo)
            if not any(one.link for one in endpoints):
                namespace.netlink.send([route.set_link(LOOPBACK, up=True)])
            for endpoint in endpoints:
                network = self.networks[endpoint.network]
                driver = self._drivers[network.driver]
                driver.join(network, endpoint, namespace, default_route=endpoint is leaving)
                namespace = replace(
                    namespace,
                    next_index=namespace.next_index + bool(namespace.next_index and endpoint.link),
                )
            self._publish(leaving, published)
            record = SandboxRecord(
                SandboxId(secrets.token_hex(32)),
                request.container,
                request.mode,
                tuple(endpoints),
                tuple(published),
                tuple(request.exposed),
            )
            with self._turn:
                self.open_now[request.container] = record
            undo.pop_all()
        return record, namespace

    def unaddressed(self, request: SandboxRequest, network: Network) -> Endpoint:
        """Return an endpoint on a network that has no links."""
        return self._endpoint(request, Attachment(network, EndpointSettings()), ())

    def open_shared(
        self,
        request: SandboxRequest,
        endpoints: Sequence[Endpoint],
        *,
        shares: ContainerId | None = None,
    ) -> SandboxRecord:
        """Note a sandbox whose namespace is the host's, or that of the container `shares`."""
        mode = plan.CONTAINER_MODE + shares if shares else request.mode
        record = SandboxRecord(
            SandboxId(secrets.token_hex(32)), request.container, mode, tuple(endpoints)
        )
        with self._turn:
            self.open_now[request.container] = record
        return record

    def close(self, container: ContainerId) -> SandboxRecord | None:
        """Give back what a sandbox had. Its links go with its namespace."""
        with self._turn:
            record = self.open_now.pop(container, None)
        if record is None:
            return None
        self._unpublish(record)
        shared = self._sharers(container)
        for endpoint in record.endpoints:
            if shared and endpoint.link:
                # other containers keep the namespace: the link, and its address, must go now
                self._leave(endpoint)
            elif endpoint.link:
                self.departed.append(endpoint)
            self._give_back(endpoint)
        return record

    def sweep(self, count: int) -> None:
        """Delete the first departed links, if a process has kept their namespace until now."""
        for _ in range(min(count, len(self.departed))):
            self._leave(self.departed.popleft())

    def rename(self, container: ContainerId, name: str) -> SandboxRecord | None:
        """Take note of a container's new name."""
        with self._turn:
            record = self.open_now.get(container)
            if record is not None:
                renamed = tuple(plan.renamed(one, name) for one in record.endpoints)
                record = self.open_now[container] = replace(record, endpoints=renamed)
            return record

    # ---- endpoints of an open sandbox

    def join(
        self, request: SandboxRequest, attachment: Attachment, pid: int
    ) -> tuple[SandboxRecord, Endpoint]:
        """Add an endpoint to an open sandbox."""
        record = self.open_now[request.container]
        with ExitStack() as undo:
            endpoint = self._endpoint(
                request, attachment, [one.interface for one in record.endpoints]
            )
            undo.callback(self._give_back, endpoint)
            after = (*record.endpoints, endpoint)
            with self._opened(pid) as namespace:
                network = attachment.network
                self._drivers[network.driver].join(
                    network, endpoint, namespace, default_route=False
                )
                self._move_way_out(record.endpoints, after, namespace)
            record = replace(record, endpoints=after)
            with self._turn:
                self.open_now[request.container] = record
            undo.pop_all()
        return record, endpoint

    def part(self, container: ContainerId, network: Network, pid: int | None) -> SandboxRecord:
        """Take an endpoint from an open sandbox."""
        record = self.open_now[container]
        gone = next(one for one in record.endpoints if one.network == network.id)
        after = tuple(one for one in record.endpoints if one is not gone)
        lost = [one for one in record.publications if one.address in (gone.ipv4, gone.ipv6)]
        self._unpublish(replace(record, publications=tuple(lost)))
        self._drivers[network.driver].leave(network, gone)
        if pid is not None:
            with self._opened(pid) as namespace:
                self._move_way_out((), after, namespace)
        self._give_back(gone)
        kept = tuple(one for one in record.publications if one not in lost)
        record = replace(record, endpoints=after, publications=kept)
        with self._turn:
            self.open_now[container] = record
        return record

    def _leave(self, endpoint: Endpoint) -> None:
        network = self.networks.get(endpoint.network)
        if network is not None:
            self._drivers[network.driver].leave(network, endpoint)

    # ---- after a start of the daemon

    def restore(self, records: Iterable[SandboxRecord]) -> list[str]:
        """Own again what running containers have; return what could not be had, for the log."""
        troubles: list[str] = []
        with self._turn:
            for record in records:
                self.open_now[record.container] = record
                for endpoint in record.endpoints:
                    troubles.extend(self._own_again(endpoint))
                for one in record.publications:
                    try:
                        self._ports.hold(
                            one.protocol, one.host_address, one.host_port, insist=False
                        )
                    except PortUnavailable as taken:
                        troubles.append(str(taken))
            published = [one for record in self.open_now.values() for one in record.publications]
            endpoints = [one for record in self.open_now.values() for one in record.endpoints]
        for driver in self._drivers.values():
            mine = [one for one in self.networks.values() if one.driver == driver.name]
            known = {network.id for network in mine}
            theirs = [one for one in endpoints if one.network in known]
            driver.restore([one for one in mine if not one.config_only], theirs, published)
        return troubles

    def _own_again(self, endpoint: Endpoint) -> Iterable[str]:
        pool = self._addresses.get(endpoint.network)
        if pool is None:
            yield f"the network of container {endpoint.container_name} is gone"
            return
        for text in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            try:
                pool.take(ipaddress.ip_address(text).version, text)
            except (AddressInUse, AddressOutside) as refused:
                yield f"address {text} of container {endpoint.container_name}: {refused}"

    # ---- steps

    def _endpoints(
        self, request: SandboxRequest, attachments: Sequence[Attachment], undo: ExitStack
    ) -> list[Endpoint]:
        endpoints: list[Endpoint] = []
        for attachment in plan.order(attachments):
            made = self._endpoint(request, attachment, [one.interface for one in endpoints])
            undo.callback(self._give_back, made)
            endpoints.append(made)
        return endpoints

    def _endpoint(
        self, request: SandboxRequest, attachment: Attachment, interfaces: Sequence[str]
    ) -> Endpoint:
        network, settings = attachment.network, attachment.settings
        asked = settings.ipam_config or EndpointIPAMConfig()
        identifier = EndpointId(secrets.token_hex(32))
        options = settings.driver_opts or {}
        aliases = tuple(settings.aliases or ())
        endpoint = Endpoint(
            id=identifier,
            network=network.id,
            container=request.container,
            container_name=request.name,
            requested_ipv4=asked.i_pv4_address or "",
            requested_ipv6=asked.i_pv6_address or "",
            aliases=aliases,
            links=tuple(settings.links or ()),
            dns_names=plan.dns_names(
                network, request.container, request.name, request.hostname, aliases
            ),
            options=options,
            priority=settings.gw_priority or 0,
        )
        if not self._drivers[network.driver].addressed:
            return endpoint
        prefix = BridgeOptions.parse(network).interface_prefix
        mac = settings.mac_address or ""
        endpoint = replace(
            endpoint,
            link=names.host_link(identifier),
            interface=plan.interface_name(options, prefix, interfaces),
            requested_mac=mac,
        )
        return self._with_addresses(network, endpoint)

    def _with_addresses(self, network: Network, endpoint: Endpoint) -> Endpoint:
        with self._turn, ExitStack() as undo:
            pool = self._addresses[network.id]
            taken = {4: "", 6: ""}
            for version, asked in ((4, endpoint.requested_ipv4), (6, endpoint.requested_ipv6)):
                if asked or network.subnet(version) is not None:
                    taken[version] = str(pool.take(version, asked))
                    undo.callback(pool.give_back, taken[version])
            undo.pop_all()
        own = taken[4] or taken[6]
        mac = endpoint.requested_mac or (mac_of(ipaddress.ip_address(own)) if own else "")
        return replace(endpoint, ipv4=taken[4], ipv6=taken[6], mac=mac)

    def _give_back(self, endpoint: Endpoint) -> None:
        with self._turn:
            pool = self._addresses.get(endpoint.network)
            for text in filter(None, (endpoint.ipv4, endpoint.ipv6)):
                if pool is not None:
                    pool.give_back(text)

    def _publications(
        self, request: SandboxRequest, leaving: Endpoint | None, undo: ExitStack
    ) -> list[Publication]:
        if leaving is None:
            return []
        asked = ports.wanted(request.ports, request.exposed, publish_all=request.publish_all)
        binding = BridgeOptions.parse(self.networks[leaving.network]).host_binding
        found: list[Publication] = []
        try:
            for want in asked:
                with self._turn:
                    held = self._hold(want, leaving, binding)
                for one in held:
                    undo.callback(
                        self._ports.give_back, one.protocol, one.host_address, one.host_port
                    )
                found.extend(held)
        except PortUnavailable as refused:
            raise PortUnavailable(
                "driver failed programming external connectivity on endpoint "
                f"{request.name} ({leaving.id}): {refused}"
            ) from refused
        return found

    def _hold(self, want: Wanted, endpoint: Endpoint, binding: str) -> list[Publication]:
        """Hold a port on every host address meant; for both families it is the same port."""
        hosts = [want.host_address or binding]
        if not want.host_address and binding == ANY and endpoint.ipv6:
            hosts = [ANY, ANY_V6] if endpoint.ipv4 else [ANY_V6]
        for host in hosts:
            if not (endpoint.ipv6 if ":" in host else endpoint.ipv4):
                family = "IPv6" if ":" in host else "IPv4"
                raise PortUnavailable(
                    f"cannot publish on {host}: the container has no {family} address"
                )
        for tried in range(EPHEMERAL_TRIES):
            port = self._ports.take(want, hosts[0])
            try:
                for host in hosts[1:]:
                    self._ports.hold(want.protocol, host, port)
            except PortUnavailable:
                self._ports.give_back(want.protocol, hosts[0], port)
                if want.first == want.last != 0 or tried + 1 == EPHEMERAL_TRIES:
                    raise
                continue
            break
        return [
            Publication(
                want.protocol,
                host,
                port,
                endpoint.ipv6 if ":" in host else endpoint.ipv4,
                want.port,
            )
            for host in hosts
        ]

    def _publish(self, leaving: Endpoint | None, published: Sequence[Publication]) -> None:
        if leaving is not None and published:
            self._drivers[self.networks[leaving.network].driver].publish(published)

    def _unpublish(self, record: SandboxRecord) -> None:
        if not record.publications:
            return
        for driver in self._drivers.values():
            driver.publish(remove=record.publications)
        with self._turn:
            for one in record.publications:
                self._ports.give_back(one.protocol, one.host_address, one.host_port)

    def _sharers(self, container: ContainerId) -> bool:
        mode = plan.CONTAINER_MODE + container
        return any(record.mode == mode for record in self.open_now.values())

    @contextlib.contextmanager
    def _opened(self, pid: int) -> Iterator[Namespace]:
        descriptor = kernel_namespaces.open_namespace(pid, "network")
        try:
            namespace = self._namespaces.open(descriptor)
        finally:
            os.close(descriptor)
        try:
            yield namespace
        finally:
            namespace.close()

    def _move_way_out(
        self, before: Sequence[Endpoint], after: Sequence[Endpoint], namespace: Namespace
    ) -> None:
        old = plan.way_out(before, self.networks)
        new = plan.way_out(after, self.networks)
        if old is not None and old is not new:
            network = self.networks[old.network]
            driver = self._drivers[network.driver]
            driver.set_default_route(network, old, namespace, wanted=False)
        if new is not None and old is not new:
            network = self.networks[new.network]
            driver = self._drivers[network.driver]
            driver.set_default_route(network, new, namespace, wanted=True)


def encode(record: SandboxRecord) -> bytes:
    """Write a record as the container's record carries it."""
    return msgspec.json.encode(record)


def decode(data: bytes) -> SandboxRecord:
    """Read what `encode` wrote."""
    return msgspec.json.decode(data, type=SandboxRecord)
