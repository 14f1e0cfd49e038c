"""The bridge driver: one Linux bridge a network, one veth pair an endpoint, one nftables table."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from boxship.kernel.netlink import conntrack, route
from boxship.kernel.netlink.sockets import (
    NETLINK_NETFILTER,
    NETLINK_ROUTE,
    Netlink,
    NetlinkError,
)
from boxship.model.ids import NetworkId
from boxship.network import names
from boxship.network.drivers.bridge_options import BridgeOptions, Policy, enclosed, rules_for
from boxship.network.enclosure import Enclosure
from boxship.network.firewall import Firewall
from boxship.network.forwarding import Forwarding
from boxship.network.namespaces import LOOPBACK, Namespace, Namespaces, write_setting
from boxship.network.pools import mac_of
from boxship.network.ports import PROTOCOLS
from boxship.network.record import Address, Endpoint, Network, Publication, SandboxRecord

GONE: Final = (errno.ENODEV, errno.ENOENT)


class BridgeDriver:
    """Networks on this host, each a bridge of its own."""

    name = "bridge"
    addressed = True

    def __init__(
        self,
        owner: str,
        namespaces: Namespaces,
        firewall: Firewall | None,
        forwarding: Forwarding,
        policy: Policy | None = None,
    ) -> None:
        self._namespaces = namespaces
        self._group = names.number(owner)
        self._firewall = firewall
        self._forwarding = forwarding
        self._policy = policy or Policy()
        self._netlink = Netlink(NETLINK_ROUTE)
        self._enclosure = Enclosure(owner, self._netlink)
        self._made: dict[NetworkId, int] = {}  # the bridges seen to be in order, by index
        self._making = threading.Lock()
        self._forgetting = ThreadPoolExecutor(1, "conntrack")

    def check(self, network: Network) -> Network:
        """Refuse options that cannot be meant."""
        BridgeOptions.parse(network)
        return network

    def create(self, network: Network) -> None:
        """Make the bridge and let the firewall cover it before it carries anything."""
        with self._making:
            options = BridgeOptions.parse(network)
            if self._policy.forward:
                self._allow_forwarding(network)
            with ExitStack() as undo:
                index, made = self._bridge(network, options)
                if made:
                    undo.callback(self._delete, index)
                if self._firewall is not None:
                    rules = rules_for(network, options, self._policy)
                    self._firewall.set_bridge(rules)
                    self._enclosure.close_off(enclosed(rules))
                self._settle(index, network, options)
                self._made[network.id] = index
                undo.pop_all()

    def remove(self, network: Network) -> None:
        """Delete the bridge, and its rules after it."""
        with self._making:
            self._made.pop(network.id, None)
            options = BridgeOptions.parse(network)
            link = self._link(options.bridge)
            if link is not None and link.group == self._group:
                self._delete(link.index)
            if self._firewall is not None:
                self._firewall.drop_bridge(options.bridge)
                self._enclosure.open_up(enclosed(rules_for(network, options, self._policy)))

    def join(
        self, network: Network, endpoint: Endpoint, namespace: Namespace, *, default_route: bool
    ) -> None:
        """Make the veth pair in place; everything inside is one batch."""
        try:
            self._join(network, endpoint, namespace, default_route=default_route)
        except NetlinkError as refused:
            # somebody may have deleted the bridge
            link = self._link(BridgeOptions.parse(network).bridge)
            if link is not None and link.index == self._made.get(network.id):
                raise
            self._made.pop(network.id, None)
            if refused.errno == errno.EEXIST:
                raise
            again = replace(namespace, next_index=0)  # the first try may have used it up
            self._join(network, endpoint, again, default_route=default_route)

    def leave(self, network: Network, endpoint: Endpoint) -> None:
        """Delete the host's end; the other goes with it."""
        with _gone_is_fine():
            self._netlink.send([route.delete_link(name=endpoint.link)])

    def set_default_route(
        self, network: Network, endpoint: Endpoint, namespace: Namespace, *, wanted: bool
    ) -> None:
        """Add or delete the default routes over an endpoint."""
        found = namespace.netlink.get(route.get_link(name=endpoint.interface))
        index = route.read_link(found).index
        for gateway in _gateways(network, endpoint):
            change = route.add_route if wanted else route.delete_route
            try:
                namespace.netlink.send([change(index, gateway=gateway)])
            except NetlinkError as refused:
                if refused.errno not in (errno.EEXIST, errno.ESRCH):
                    raise

    def restore(
        self,
        networks: Iterable[Network],
        endpoints: Iterable[Endpoint],
        published: Iterable[Publication],
    ) -> None:
        """Put the table in place for the bridges that exist; delete links nobody needs."""
        kept = {endpoint.link for endpoint in endpoints}
        links = [route.read_link(one) for one in self._netlink.dump(route.get_links())]
        present = {link.name: link for link in links}
        mine = {BridgeOptions.parse(network).bridge: network for network in networks}
        for link in links:
            if link.group == self._group and link.name not in kept and link.name not in mine:
                self._delete(link.index)
        covered = [name for name in mine if name in present]
        self._forbid_routing()
        if self._firewall is not None:
            rules = [
                rules_for(mine[name], BridgeOptions.parse(mine[name]), self._policy)
                for name in covered
            ]
            self._firewall.restore(rules, published)
            self._enclosure.keep_only(prefix for one in rules for prefix in enclosed(one))
        for name in covered:
            self.create(mine[name])

    def publish(
        self, add: Iterable[Publication] = (), *, remove: Iterable[Publication] = ()
    ) -> None:
        """Change map elements; what the kernel remembers of UDP must be forgotten too."""
        if self._firewall is None:
            return
        add, remove = list(add), list(remove)
        self._firewall.publish(add, remove=remove)
        datagrams = [one for one in (*add, *remove) if one.protocol == "udp"]
        if datagrams:
            # the kernel walks its whole table for that, some 5 ms: who gives a port up need not
            # wait, and who gets it waits for those before too
            forgotten = self._forgetting.submit(_forget, datagrams)
            if add:
                forgotten.result()

    def leaks(
        self,
        networks: Iterable[Network],
        sandboxes: Iterable[SandboxRecord],
        departed: Iterable[Endpoint],
    ) -> list[str]:
        """Name links and map elements with our mark that nobody needs; `departed` are going."""
        records = list(sandboxes)
        mine = [one for one in networks if one.driver == self.name and not one.config_only]
        known = {BridgeOptions.parse(network).bridge for network in mine}
        known.update(endpoint.link for endpoint in departed)
        known.update(endpoint.link for record in records for endpoint in record.endpoints)
        links = [route.read_link(one) for one in self._netlink.dump(route.get_links())]
        found = [
            f"link {link.name}"
            for link in links
            if link.group == self._group and link.name not in known
        ]
        if self._firewall is not None:
            published = [one for record in records for one in record.publications]
            found += [f"nft element {one}" for one in self._firewall.strangers(published)]
        return found

    def subnets_in_use(self) -> list[route.Prefix]:
        """Return what the host has routes to already, save over bridges of our own."""
        links = [route.read_link(one) for one in self._netlink.dump(route.get_links())]
        own = {link.index for link in links if link.group == self._group}
        found = [route.read_route(one) for one in self._netlink.dump(route.get_routes())]
        return [
            prefix
            for prefix, link in found
            if prefix.prefixlen and link not in own and not prefix.is_multicast
        ]

    def address_of(self, bridge: str) -> tuple[Address, int] | None:
        """Return the IPv4 address and prefix length that a bridge has, if it is there."""
        link = self._link(bridge)
        if link is None:
            return None
        for message in self._netlink.dump(route.get_addresses(socket.AF_INET)):
            index, address, length = route.read_address(message)
            if index == link.index:
                return address, length
        return None

    def forsake(self) -> None:
        """Nothing runs any more: take away what only containers need; bridges stay."""
        if self._firewall is not None:
            self._firewall.remove()
            self._enclosure.keep_only(())

    def close(self) -> None:
        """Let go of the kernel; the networks stay."""
        self._forgetting.shutdown()
        self._netlink.close()

    def _join(
        self, network: Network, endpoint: Endpoint, namespace: Namespace, *, default_route: bool
    ) -> None:
        if network.id not in self._made:
            self.create(network)
        options = BridgeOptions.parse(network)
        pair = route.add_veth(
            endpoint.link,
            peer=endpoint.interface,
            peer_namespace=namespace.descriptor,
            master=self._made[network.id],
            mac=endpoint.mac,
            mtu=options.mtu,
            group=self._group,
        )
        batch = [pair]
        if not options.icc or options.hairpin:
            flags = route.set_bridge_port(
                name=endpoint.link, isolated=not options.icc, hairpin=options.hairpin
            )
            batch.append(flags)
        self._netlink.send(batch)
        inside = namespace.netlink
        index = namespace.next_index
        if not index:
            found = inside.get(route.get_link(name=endpoint.interface))
            index = route.read_link(found).index
        if endpoint.ipv6:
            setting = f"ipv6/conf/{endpoint.interface}/disable_ipv6"
            self._namespaces.write(namespace.descriptor, setting, "0")
        requests = [route.set_link(LOOPBACK, up=True)]
        for text in (endpoint.ipv4, endpoint.ipv6):
            if text:
                address = ipaddress.ip_address(text)
                subnet = network.subnet(address.version)
                length = subnet.prefix.prefixlen if subnet else address.max_prefixlen
                requests.append(route.add_address(index, address, length))
        # up with its address: only then the link announces where that address is now
        requests.append(route.set_link(index, up=True))
        if default_route:
            requests += [
                route.add_route(index, gateway=one) for one in _gateways(network, endpoint)
            ]
        inside.send(requests)

    def _bridge(self, network: Network, options: BridgeOptions) -> tuple[int, bool]:
        link = self._link(options.bridge)
        if link is not None:
            if link.kind != "bridge":
                raise OSError(errno.EEXIST, f"link {options.bridge} is not a bridge")
            return link.index, False
        four = network.subnet(4)
        mac = mac_of(ipaddress.ip_address(four.gateway)) if four and four.gateway else ""
        self._netlink.send(
            [route.add_bridge(options.bridge, mtu=options.mtu, mac=mac, group=self._group)]
        )
        made = self._link(options.bridge)
        if made is None:
            raise OSError(errno.ENODEV, f"bridge {options.bridge} went away")
        return made.index, True

    def _settle(self, index: int, network: Network, options: BridgeOptions) -> None:
        """Give the bridge its addresses and settings, and bring it up."""
        with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
            off = "0" if network.subnet(6) else "1"
            write_setting(f"ipv6/conf/{options.bridge}/disable_ipv6", off)
            write_setting(f"ipv6/conf/{options.bridge}/accept_ra", "0")
            write_setting(f"ipv6/conf/{options.bridge}/accept_dad", "0")
        if self._firewall is not None:  # never without the guard against what it opens
            write_setting(f"ipv4/conf/{options.bridge}/route_localnet", "1")
        requests = [
            route.add_address(index, ipaddress.ip_address(subnet.gateway), subnet.prefix.prefixlen)
            for subnet in network.subnets
            if subnet.gateway and not (options.inhibit_ipv4 and subnet.version == 4)
        ]
        self._netlink.send([*requests, route.set_link(index, up=True)])

    def _allow_forwarding(self, network: Network) -> None:
        if network.internal:
            return
        for version in (4, 6):
            if network.subnet(version):
                self._forwarding.allow(version)
        self._forbid_routing()

    def _forbid_routing(self) -> None:
        if self._firewall is not None:
            self._firewall.forbid_routing(self._policy.no_router and self._forwarding.is_ours)

    def _link(self, name: str) -> route.Link | None:
        with _gone_is_fine():
            return route.read_link(self._netlink.get(route.get_link(name=name)))
        return None

    def _delete(self, index: int) -> None:
        with _gone_is_fine():
            self._netlink.send([route.delete_link(index)])


@contextlib.contextmanager
def _gone_is_fine() -> Iterator[None]:
    try:
        yield
    except NetlinkError as refused:
        if refused.errno not in GONE:
            raise


def _gateways(network: Network, endpoint: Endpoint) -> list[Address]:
    found: list[Address] = []
    for version, has in ((4, endpoint.ipv4), (6, endpoint.ipv6)):
        subnet = network.subnet(version)
        if has and subnet is not None and subnet.gateway and not network.internal:
            found.append(ipaddress.ip_address(subnet.gateway))
    return found


def _forget(publications: Iterable[Publication]) -> None:
    """Drop the connections through ports that have changed hands."""
    host_ports = {(PROTOCOLS[one.protocol], one.host_port) for one in publications}
    targets = {
        (PROTOCOLS[one.protocol], ipaddress.ip_address(one.address).packed, one.port)
        for one in publications
    }

    def unwanted(one: conntrack.Connection) -> bool:
        protocol = one.original.protocol
        if (protocol, one.original.destination_port) in host_ports:
            return True
        return (protocol, one.reply.source, one.reply.source_port) in targets

    families = {socket.AF_INET6 if ":" in one.address else socket.AF_INET for one in publications}
    with Netlink(NETLINK_NETFILTER) as netlink:
        for family in families:
            conntrack.forget(netlink, family, unwanted)
