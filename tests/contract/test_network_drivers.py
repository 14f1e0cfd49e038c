"""What every network driver does, whatever its networks are made of."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator

import pytest
from tests.support.netns import in_new_host

from boxship.kernel.netlink import route
from boxship.model.ids import ContainerId, EndpointId, NetworkId
from boxship.network.drivers.bridge import BridgeDriver
from boxship.network.drivers.driver import Driver
from boxship.network.drivers.unaddressed import Unaddressed
from boxship.network.firewall import Firewall
from boxship.network.forwarding import Forwarding
from boxship.network.namespaces import Namespace, Namespaces
from boxship.network.record import Endpoint, Network, Publication, Subnet

pytestmark = pytest.mark.root

DRIVERS = ("bridge", "host", "null")


@contextlib.contextmanager
def driver_of(kind: str) -> Iterator[tuple[Driver, Namespaces]]:
    namespaces = Namespaces(ready=1)
    driver: Driver = Unaddressed(kind)
    folder = tempfile.TemporaryDirectory(prefix="bxf")
    if kind == "bridge":
        forwarding = Forwarding(f"{folder.name}/forwarding")
        driver = BridgeDriver("contract", namespaces, Firewall("contract"), forwarding)
    yield driver, namespaces
    namespaces.close()
    folder.cleanup()


def network_of(driver: Driver) -> Network:
    if driver.addressed:
        subnets = (Subnet("10.7.0.0/24", "10.7.0.1"),)
        return Network(NetworkId("a" * 64), "net", driver.name, "", subnets=subnets)
    return Network(
        NetworkId("b" * 64), "none" if driver.name == "null" else "host", driver.name, ""
    )


def endpoint_of(driver: Driver, network: Network, number: int = 1) -> Endpoint:
    plain = Endpoint(EndpointId(f"{number:064x}"), network.id, ContainerId("c" * 64), "web")
    if not driver.addressed:
        return plain
    address = f"10.7.0.{number + 1}"
    return Endpoint(
        plain.id, network.id, plain.container, "web", link=f"bxc{number}", interface="eth0",
        mac=f"02:42:0a:07:00:{number + 1:02x}", ipv4=address,
    )  # fmt: skip


def links(namespace: Namespace) -> dict[str, bool]:
    found = (route.read_link(one) for one in namespace.netlink.dump(route.get_links()))
    return {link.name: link.up for link in found}


def run(kind: str, story: Callable[[Driver, Namespaces, Network], object]) -> object:
    def inside() -> object:
        with driver_of(kind) as (driver, namespaces):
            network = driver.check(network_of(driver))
            return story(driver, namespaces, network)

    return in_new_host(inside)


@pytest.mark.parametrize("kind", DRIVERS)
def test_creating_and_removing_may_be_repeated(kind):
    def story(driver, namespaces, network):
        for _ in range(2):
            driver.create(network)
        for _ in range(2):
            driver.remove(network)
        return True

    assert run(kind, story)


@pytest.mark.parametrize("kind", DRIVERS)
def test_an_endpoint_is_in_its_namespace_until_it_leaves(kind):
    def story(driver, namespaces, network):
        driver.create(network)
        endpoint = endpoint_of(driver, network)
        namespace = namespaces.take()
        driver.join(network, endpoint, namespace, default_route=True)
        joined = links(namespace).get("eth0")
        driver.set_default_route(network, endpoint, namespace, wanted=True)
        for _ in range(2):
            driver.set_default_route(network, endpoint, namespace, wanted=False)
        for _ in range(2):
            driver.leave(network, endpoint)
        left = "eth0" in links(namespace)
        driver.remove(network)
        return joined, left, driver.addressed

    joined, left, addressed = run(kind, story)
    assert joined is (True if addressed else None)
    assert not left


@pytest.mark.parametrize("kind", DRIVERS)
def test_restoring_keeps_what_is_needed_and_nothing_else(kind):
    def story(driver, namespaces, network):
        driver.create(network)
        kept, orphan = endpoint_of(driver, network, 1), endpoint_of(driver, network, 2)
        inside = [namespaces.take(), namespaces.take()]
        for endpoint, namespace in zip((kept, orphan), inside, strict=True):
            driver.join(network, endpoint, namespace, default_route=False)
        published = [Publication("tcp", "0.0.0.0", 8080, "10.7.0.2", 80)]
        driver.publish(published)
        for _ in range(2):
            driver.restore([network], [kept], published)
        driver.publish(remove=published)
        driver.publish(remove=published)
        return [links(namespace).get("eth0") for namespace in inside], driver.addressed

    found, addressed = run(kind, story)
    assert found == ([True, None] if addressed else [None, None])
