"""What daemon.json says of builds; read without the builder."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import msgspec

from boxship.daemon.config import BadConfiguration, Config
from boxship.lib import units


@dataclass(frozen=True, slots=True)
class CacheLimits:
    """How much the build cache may take, in bytes; `free` is what it leaves of the disk."""

    reserved: int
    most: int
    free: int


class Entitlements(msgspec.Struct, forbid_unknown_fields=True):
    """`builder.entitlements`: what builds may ask for."""

    network_host: bool = msgspec.field(default=True, name="network-host")
    security_insecure: bool = msgspec.field(default=False, name="security-insecure")
    device: bool = True


class Collection(msgspec.Struct, forbid_unknown_fields=True):
    """`builder.gc`: how much the build cache may take; sizes as text."""

    enabled: bool = True
    default_keep_storage: str = msgspec.field(default="", name="defaultKeepStorage")
    default_reserved_space: str = msgspec.field(default="", name="defaultReservedSpace")
    default_max_used_space: str = msgspec.field(default="", name="defaultMaxUsedSpace")
    default_min_free_space: str = msgspec.field(default="", name="defaultMinFreeSpace")


class BuilderDocument(msgspec.Struct, forbid_unknown_fields=True):
    """`builder` in daemon.json."""

    entitlements: Entitlements = msgspec.field(default_factory=Entitlements)
    gc: Collection = msgspec.field(default_factory=Collection)


def builder_document(config: Config) -> BuilderDocument:
    """Read what daemon.json says of the builder; BadConfiguration where that makes no sense."""
    try:
        document = msgspec.convert(config.values["builder"] or {}, BuilderDocument)
        cache_limits(document, "/")
    except (msgspec.ValidationError, ValueError) as error:
        raise BadConfiguration(f"builder: {error}") from error
    return document


def entitlements(document: BuilderDocument) -> frozenset[str]:
    """Return what the daemon consents to."""
    given = {
        "network.host": document.entitlements.network_host,
        "security.insecure": document.entitlements.security_insecure,
        "device": document.entitlements.device,
    }
    return frozenset(name for name, allowed in given.items() if allowed)


def cache_limits(document: BuilderDocument, data: str) -> CacheLimits | None:
    """Return how much the build cache may take: a tenth of the disk, 2 GB at least.

    None where it is not to be kept small.
    """
    said = document.gc
    if not said.enabled:
        return None
    total = shutil.disk_usage(data).total
    least = said.default_reserved_space or said.default_keep_storage
    reserved = units.parse_ram(least) if least else 2 << 30
    most = units.parse_ram(said.default_max_used_space) if said.default_max_used_space else 0
    free = units.parse_ram(said.default_min_free_space) if said.default_min_free_space else 0
    if not most and not free:
        most = reserved if least else max(total // 10, reserved)
    return CacheLimits(reserved, most, free)
