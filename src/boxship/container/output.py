"""Where a container's output is kept, and how: its log driver and the driver's options."""

from __future__ import annotations

from boxship.container.record import Container
from boxship.errors import InvalidRequest
from boxship.logs import attributes
from boxship.logs.drivers import files
from boxship.shim.protocol import LogChoice
from boxship.spec.engine.container import HostConfigLogConfig


def check(log: HostConfigLogConfig) -> None:
    """Check the driver and its options."""
    name = log.type or ""
    if name not in files.DRIVERS:
        raise InvalidRequest(f"logger: no log driver named '{name}' is registered")
    files.DRIVERS[name].validate(log.config or {})


def path(record: Container, folder: str) -> str:
    """Return where a container's output is kept; empty when it is not."""
    log = record.host_config.log_config
    driver = files.DRIVERS.get((log.type if log else None) or "")
    return driver.path(folder, record.id) if driver else ""


def choice(record: Container, folder: str, hostname: str) -> LogChoice:
    """Return how output is kept; what nobody bounded is bounded, so that no disk fills."""
    log = record.host_config.log_config
    options = (log.config if log else None) or {}
    driver = files.driver((log.type if log else None) or "")
    where = driver.path(folder, record.id)
    source = attributes.Source(
        id=record.id,
        name=record.name,
        image_id=record.image,
        image_name=record.config.image or "",
        command=record.command,
        labels=record.config.labels or {},
        environment=record.config.env or (),
        hostname=hostname,
    )
    found = attributes.attributes(options, source)
    if tag := attributes.tag(options, source):
        found["tag"] = tag
    return driver.choose(options, where, found)
