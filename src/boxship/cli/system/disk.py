"""What uses the engine's disk, added up."""

from __future__ import annotations

import time

from boxship.cli.formatter import Listing
from boxship.lib import duration, moments
from boxship.lib.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Usage = dict[str, Any]

STOPPED = ("created", "exited", "dead", "removing")


class Total:
    """The sum of one kind of thing; `share` tells whether the part is worth a percentage."""

    __slots__ = ("active", "count", "free", "kind", "share", "size")

    def __init__(self, kind: str, count: int, active: int, size: int, free: int) -> None:
        self.kind = kind
        self.count = count
        self.active = active
        self.size = size
        self.free = free

    def reclaimable(self) -> str:
        text = human_size(self.free)
        if self.size > 0 and self.kind != "Build Cache":
            return f"{text} ({self.free * 100 // self.size}%)"
        return text


def totals_of(usage: Usage) -> list[Total]:
    """Return the four totals, from either form of the answer: sums (1.52 and on) or lists."""
    if "ImageUsage" in usage or "ContainerUsage" in usage:
        return [
            _given("Images", usage.get("ImageUsage")),
            _given("Containers", usage.get("ContainerUsage")),
            _given("Local Volumes", usage.get("VolumeUsage")),
            _given("Build Cache", usage.get("BuildCacheUsage")),
        ]
    return [_images(usage), _containers(usage), _volumes(usage), _cache(usage)]


def _given(kind: str, sums: Usage | None) -> Total:
    found = sums or {}
    return Total(
        kind,
        found.get("TotalCount", 0),
        found.get("ActiveCount", 0),
        found.get("TotalSize", 0),
        found.get("Reclaimable", 0),
    )


def _images(usage: Usage) -> Total:
    images = usage.get("Images") or []
    active = [image for image in images if image.get("Containers", 0) > 0]
    used = sum(
        image.get("Size", 0) - max(image.get("SharedSize", 0), 0)
        for image in active
        if image.get("Size", -1) != -1
    )
    size = usage.get("LayersSize", 0)
    return Total("Images", len(images), len(active), size, max(size - used, 0))


def _containers(usage: Usage) -> Total:
    found = usage.get("Containers") or []
    active = [one for one in found if one.get("State") not in STOPPED]
    size = sum(one.get("SizeRw", 0) for one in found)
    free = size - sum(one.get("SizeRw", 0) for one in active)
    return Total("Containers", len(found), len(active), size, free)


def _volumes(usage: Usage) -> Total:
    found = [volume.get("UsageData") or {} for volume in usage.get("Volumes") or []]
    active = [data for data in found if data.get("RefCount", 0) > 0]
    size = sum(max(data.get("Size", 0), 0) for data in found)
    free = size - sum(max(data.get("Size", 0), 0) for data in active)
    return Total("Local Volumes", len(found), len(active), size, free)


def _cache(usage: Usage) -> Total:
    found = usage.get("BuildCache") or []
    owned = [record for record in found if not record.get("Shared")]
    size = sum(record.get("Size", 0) for record in owned)
    free = size - sum(record.get("Size", 0) for record in owned if record.get("InUse"))
    active = sum(1 for record in found if record.get("InUse"))
    return Total("Build Cache", len(found), active, size, free)


TOTALS = Listing(
    "*formatter.diskUsageContext",
    "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}",
    {
        "Active": ("ACTIVE", lambda total: str(total.active)),
        "Reclaimable": ("RECLAIMABLE", Total.reclaimable),
        "Size": ("SIZE", lambda total: human_size(total.size)),
        "TotalCount": ("TOTAL", lambda total: str(total.count)),
        "Type": ("TYPE", lambda total: total.kind),
    },
)


def _since(text: str | None) -> str:
    try:
        return duration.human(time.time() - moments.parse(text or "") / moments.SECOND) + " ago"
    except ValueError:
        return ""


BUILD_CACHE = Listing(
    "*formatter.buildCacheContext",
    "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}"
    "\t{{.UsageCount}}\t{{.Shared}}",
    {
        "CacheType": ("CACHE TYPE", lambda record: record.get("Type", "")),
        "CreatedSince": ("CREATED", lambda record: _since(record.get("CreatedAt"))),
        "Description": ("DESCRIPTION", lambda record: record.get("Description", "")),
        "ID": ("CACHE ID", lambda record: str(record.get("ID", ""))[:12]),
        "InUse": ("IN USE", lambda record: str(bool(record.get("InUse"))).lower()),
        "LastUsedSince": ("LAST USED", lambda record: _since(record.get("LastUsedAt"))),
        "Shared": ("SHARED", lambda record: str(bool(record.get("Shared"))).lower()),
        "Size": ("SIZE", lambda record: human_size(record.get("Size", 0), 3)),
        "UsageCount": ("USAGE", lambda record: str(record.get("UsageCount", 0))),
    },
)
