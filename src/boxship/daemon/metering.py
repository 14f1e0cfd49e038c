"""The metrics page: what it tells, and the address that it is served on."""

from __future__ import annotations

import logging
import socket
from contextlib import AsyncExitStack, ExitStack

from boxship.api.builds import Builds
from boxship.api.metrics import Meter, Page, Told
from boxship.container.containers import Containers
from boxship.container.probes import Probes
from boxship.daemon import listeners
from boxship.daemon.config import Config
from boxship.daemon.wiring import Engine
from boxship.spec.product import VERSION
from boxship.transport.server import Server

log = logging.getLogger(__name__)
STOP_GRACE = 1.0


async def serve(config: Config, engine: Engine, meter: Meter, undo: AsyncExitStack) -> None:
    """Serve the page until `undo`."""
    engine.networks.timed = meter.networks.note
    page = Page(meter.metrics(), told(config, engine).metrics)
    bound = ExitStack()
    undo.callback(bound.close)
    server = Server(page.answer)
    undo.push_async_callback(server.stop, STOP_GRACE)
    address = config.text("metrics_addr")
    await server.listen(bind(address, bound), None)
    log.info("metrics API listening on %s", address)


def bind(address: str, undo: ExitStack) -> socket.socket:
    """Bind `HOST:PORT` or `:PORT`."""
    return listeners.bind_tcp(address, *listeners.split(address, None), undo)


def told(config: Config, engine: Engine) -> Told:
    """Return what the parts say of themselves."""
    facts, registry = engine.system.facts, engine.parts[Containers]
    probes, builds = engine.parts[Probes], engine.parts[Builds]
    assert isinstance(registry, Containers)
    assert isinstance(probes, Probes)
    assert isinstance(builds, Builds)
    about = {
        "architecture": facts.machine,
        "commit": "",
        "daemon_id": facts.id,
        "graphdriver": config.text("storage_driver") or "overlay2",
        "kernel": facts.kernel,
        "os": facts.operating_system,
        "os_type": "linux",
        "os_version": facts.os_version,
        "version": VERSION,
    }
    return Told(
        states=lambda: [str(cell.record.state.value) for cell in registry.registry],
        about=about,
        processors=facts.processors,
        memory=facts.memory,
        events=lambda: engine.journal.published,
        subscribers=lambda: engine.journal.listeners,
        probes=lambda: probes.run,
        failed_probes=lambda: probes.failed,
        builds=lambda: builds.begun,
        failed_builds=lambda: builds.failed,
    )
