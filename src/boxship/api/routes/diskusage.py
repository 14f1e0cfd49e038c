"""`GET /system/df`: what the engine's things take on disk, and what of it could go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec

from boxship.api import versions
from boxship.api.building import Building
from boxship.api.render import containers as render_container
from boxship.api.render import images as render_image
from boxship.api.render import volumes as render_volume
from boxship.api.routing import Call, Reply, route
from boxship.api.version import ApiVersion
from boxship.container.containers import Containers
from boxship.container.registry import Cell
from boxship.errors import InvalidRequest
from boxship.image.images import Images
from boxship.lib import moments
from boxship.volume.volumes import Volumes

if TYPE_CHECKING:
    from boxship.build.cache.cache import Cache

KINDS: Final = ("container", "image", "volume", "build-cache")
SUMMED_SINCE: Final = ApiVersion(1, 52)
TYPES_SINCE: Final = ApiVersion(1, 42)


@dataclass(slots=True)
class Usage:
    """All things of one kind: how many, how large, and what is in use."""

    total: int = 0
    active: int = 0
    size: int = 0
    reclaimable: int = 0
    items: list[dict[str, Any]] = field(default_factory=list)

    def document(self, *, verbose: bool) -> dict[str, Any]:
        """Return it as clients since 1.52 know it."""
        shown: dict[str, Any] = {
            "ActiveCount": self.active,
            "TotalCount": self.total,
            "Reclaimable": self.reclaimable,
            "TotalSize": self.size,
        }
        if verbose:
            shown["Items"] = self.items
        return shown


@route("GET", "/system/df")
async def measure(
    call: Call, containers: Containers, images: Images, volumes: Volumes, building: Building
) -> Reply:
    kinds = asked(call)
    cells = list(containers.registry)
    found: dict[str, Usage] = {}
    if "container" in kinds:
        found["container"] = await asyncio.to_thread(of_containers, containers, cells, call.version)
    if "image" in kinds:
        found["image"] = await asyncio.to_thread(of_images, images, call.version)
    if "volume" in kinds:
        found["volume"] = await asyncio.to_thread(of_volumes, volumes)
    if "build-cache" in kinds:
        cache = (await building.tools()).builder.cache
        found["build-cache"] = await asyncio.to_thread(of_build_cache, cache, call.version)
    if call.version < SUMMED_SINCE:
        return Reply(HTTPStatus.OK, listed(found, call.version))
    names = {"container": "ContainerUsage", "image": "ImageUsage", "volume": "VolumeUsage"}
    names["build-cache"] = "BuildCacheUsage"
    verbose = call.query.flag("verbose")
    document = {names[kind]: usage.document(verbose=verbose) for kind, usage in found.items()}
    return Reply(HTTPStatus.OK, document)


def asked(call: Call) -> Sequence[str]:
    """Return which kinds are asked for; all when none is named."""
    kinds = call.query.all("type") if call.version >= TYPES_SINCE else []
    for kind in kinds:
        if kind not in KINDS:
            raise InvalidRequest(f"unknown object type: {kind}")
    return kinds or KINDS


def listed(found: dict[str, Usage], version: ApiVersion) -> dict[str, Any]:
    """Return every thing, as clients below 1.52 know it."""
    document: dict[str, Any] = {"LayersSize": found["image"].size if "image" in found else 0}
    names = {"image": "Images", "container": "Containers", "volume": "Volumes"}
    for kind, name in {**names, "build-cache": "BuildCache"}.items():
        document[name] = found[kind].items if kind in found else None
    if version < TYPES_SINCE:
        document["BuilderSize"] = found["build-cache"].size if "build-cache" in found else 0
    return document


def of_containers(containers: Containers, cells: Sequence[Cell], version: ApiVersion) -> Usage:
    """Measure what containers wrote; reads every folder of theirs."""
    usage = Usage(total=len(cells))
    for cell in cells:
        written, whole = containers.sizes(cell)
        usage.size += written
        if cell.record.state.has_process:
            usage.active += 1
        else:
            usage.reclaimable += written
        shown = render_container.summary(cell.record, version)
        shown["Status"] = render_container.status(cell.record, time.time_ns())
        usage.items.append({**shown, "SizeRw": written, "SizeRootFs": whole})
    return usage


def of_images(images: Images, version: ApiVersion) -> Usage:
    """Measure images; what several share counts once."""
    usage = Usage(size=images.total_size())
    in_use = 0
    for image in images.list():
        usage.total += 1
        shown = render_image.summary(images, image, shared=True)
        if shown.containers:
            usage.active += 1
            in_use += shown.size or 0
        usage.items.append(msgspec.to_builtins(versions.reshape(shown, version)))
    usage.reclaimable = max(0, usage.size - in_use)
    return usage


def of_volumes(volumes: Volumes) -> Usage:
    """Measure volumes; reads every folder of theirs."""
    usage = Usage()
    for volume in volumes.list():
        taken = volumes.usage(volume.name)
        usage.total += 1
        usage.size += max(0, taken.size)
        if taken.references:
            usage.active += 1
        else:
            usage.reclaimable += max(0, taken.size)
        usage.items.append(render_volume.volume(volume, taken))
    return usage


def of_build_cache(cache: Cache, version: ApiVersion) -> Usage:
    """Measure what builds keep; what images have anyway is not counted."""
    usage = Usage()
    for one in cache.usage():
        usage.total += 1
        usage.active += one.in_use
        if not one.shared:
            usage.size += one.size
            usage.reclaimable += 0 if one.in_use else one.size
        shown: dict[str, Any] = {
            "ID": one.id,
            "Type": one.kind.value,
            "Description": one.description,
            "InUse": one.in_use,
            "Shared": one.shared,
            "Size": one.size,
            "CreatedAt": moments.show(one.created),
            "LastUsedAt": moments.show(one.used) if one.used else None,
            "UsageCount": one.uses,
        }
        if version < TYPES_SINCE:
            shown["Parent"] = one.parents[0] if one.parents else ""
        else:
            shown["Parents"] = list(one.parents) or None
        usage.items.append(shown)
    return usage
