"""Networks of an engine on a host of the tests' own, with a neighbour on its LAN."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from boxship.errors import NotFound
from boxship.model.ids import ContainerId
from boxship.network.config import NetworkConfig
from boxship.network.creation import NetworkRequest
from boxship.network.needs import Attachable
from boxship.network.networks import Networks
from boxship.network.record import Network
from boxship.network.sandbox import Sandbox, SandboxRequest
from boxship.spec.engine.container import EndpointSettings, PortBinding
from boxship.store.database import Database
from tests.support.netns import Place, ask, listen, run

T = TypeVar("T")

BRIDGE = "bxe0"
LAN_HOST = "192.168.77.1"
LAN_NEIGHBOUR = "192.168.77.2"


class Heard:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str, dict[str, str]]] = []

    def publish(
        self, type: str, action: str, id: str, attributes: Mapping[str, str], scope: str = "local"
    ) -> None:
        self.events.append((type, action, id, dict(attributes)))

    def actions(self) -> list[tuple[str, str]]:
        return [(type, action) for type, action, _, _ in self.events]


class Kept:
    """The containers, as far as networks ask for them."""

    def __init__(self) -> None:
        self.known: dict[str, Attachable] = {}
        self.endpoints: dict[tuple[str, str], EndpointSettings | None] = {}
        self.shown: dict[tuple[str, str], EndpointSettings | None] = {}
        self.records: dict[str, bytes] = {}

    def attachable(self, ref: str) -> Attachable:
        for one in self.known.values():
            if ref in (one.id, one.name):
                mine = {
                    network: settings
                    for (container, network), settings in self.endpoints.items()
                    if container == one.id and settings is not None
                }
                return Attachable(one.id, one.name, one.hostname, one.mode, one.pid, mine)
        raise NotFound(f"No such container: {ref}")

    def keep_endpoint(
        self,
        container: ContainerId,
        network: str,
        settings: EndpointSettings | None,
        shown: EndpointSettings | None,
        record: bytes | None,
    ) -> None:
        self.endpoints[container, network] = settings
        self.shown[container, network] = shown
        if record is not None:
            self.records[container] = record


@dataclass
class Running:
    """A container: a process in the namespace that its sandbox gave it."""

    id: ContainerId
    name: str
    place: Place
    sandbox: Sandbox

    @property
    def address(self) -> str:
        found = next(iter(self.sandbox.settings.values())).ip_address
        assert found is not None
        return found


@dataclass
class Host:
    """An engine's networks, and what runs on them."""

    config: NetworkConfig
    folder: str
    heard: Heard = field(default_factory=Heard)
    kept: Kept = field(default_factory=Kept)
    running: dict[str, Running] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    watching: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Start the engine's side, as a daemon does; what ran goes on."""
        self.database = Database(f"{self.folder}/db")
        self.networks = Networks(
            self.database,
            self.config,
            publisher=self.heard,
            containers=self.kept,
            run_folder=self.folder,
            now=lambda: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        records = {one.id: one.sandbox.record for one in self.running.values()}
        pids = {one.id: one.place.pid for one in self.running.values()}
        self.troubles = self.do(self.networks.restore(records, pids))

    def crash(self) -> None:
        """Forget everything, as a killed daemon does: descriptors close, nothing is undone."""
        self.networks._firewall and self.networks._firewall.close()
        self.networks._host_ports.close()
        self.networks._namespaces.close()
        self.networks._bridges.close()
        self.database.close()

    def do(self, awaitable: Awaitable[T]) -> T:
        return self.loop.run_until_complete(awaitable)

    def idle(self, seconds: float) -> None:
        self.do(asyncio.sleep(seconds))

    def watch(self) -> None:
        self.watching = self.loop.create_task(self.networks.watch())
        self.idle(0)

    def create_network(self, name: str, **asked: Any) -> Network:
        return self.do(self.networks.create(NetworkRequest(name=name, **asked)))

    def start(self, name: str, *listening: int, **asked: Any) -> Running:
        """Start a container; it answers on the TCP and UDP ports given."""
        container = ContainerId(secrets.token_hex(32))
        ports = asked.pop("publish", {})
        bindings = {
            port: [PortBinding(host_ip=host, host_port=str(number)) for host, number in wanted]
            for port, wanted in ports.items()
        }
        request = SandboxRequest(
            container=container, name=name, hostname=name, ports=bindings, **asked
        )
        sandbox = self.do(self.networks.open_sandbox(request))
        place = Place(sandbox.netns)
        sandbox.let_go()
        running = Running(container, name, place, sandbox)
        self.running[name] = running
        self.kept.known[container] = Attachable(container, name, name, request.mode, place.pid)
        self.networks.started(container, place.pid)
        for port in listening:
            place.do(listen, port, name)
            place.do(listen, port, name, "udp")
        return running

    def stop(self, name: str) -> None:
        gone = self.running.pop(name)
        gone.place.end()
        del self.kept.known[gone.id]
        self.do(self.networks.close_sandbox(gone.id))

    def end(self) -> None:
        for name in list(self.running):
            self.stop(name)
        if self.watching is not None:
            self.watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                self.do(self.watching)
        self.networks.close()
        self.database.close()
        self.loop.close()


@contextlib.contextmanager
def engine_host(**flags: Any) -> Iterator[Host]:
    """A host with networks; to be used in a namespace of its own (`in_new_host`)."""
    folder = tempfile.mkdtemp(prefix="bxn", dir="/tmp")
    host = Host(NetworkConfig(bridge=BRIDGE, **flags), folder)
    try:
        yield host
    finally:
        host.end()
        shutil.rmtree(folder)


@contextlib.contextmanager
def neighbour() -> Iterator[Place]:
    """Another machine on the host's LAN, reached over the link `lan0`."""
    place = Place()
    run(f"ip link add lan0 type veth peer name eth0 netns {place.pid}")
    run(f"ip addr add {LAN_HOST}/24 dev lan0 && ip link set lan0 up")
    place.do(run, f"ip addr add {LAN_NEIGHBOUR}/24 dev eth0 && ip link set eth0 up")
    place.do(run, "ip link set lo up")
    try:
        yield place
    finally:
        place.end()


__all__ = ["Host", "Place", "Running", "ask", "engine_host", "listen", "neighbour", "run"]
