"""The fields of a volume in lists."""

from __future__ import annotations

from boxship.cli.formatter import Listing
from boxship.lib.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.client.documents import Volume

UNKNOWN = "N/A"


def labels(volume: Volume) -> str:
    found = volume.get("Labels") or {}
    return ",".join(f"{key}={found[key]}" for key in sorted(found))


def links(volume: Volume) -> str:
    usage = volume.get("UsageData")
    return UNKNOWN if not usage else str(usage.get("RefCount", -1))


def size(volume: Volume) -> str:
    usage = volume.get("UsageData")
    return UNKNOWN if not usage else human_size(usage.get("Size", 0))


VOLUMES = Listing(
    "*formatter.volumeContext",
    "table {{.Driver}}\t{{.Name}}",
    {
        "Availability": ("AVAILABILITY", lambda volume: UNKNOWN),
        "Driver": ("DRIVER", lambda volume: volume["Driver"]),
        "Group": ("GROUP", lambda volume: UNKNOWN),
        "Labels": ("LABELS", labels),
        "Links": ("LINKS", links),
        "Mountpoint": ("MOUNTPOINT", lambda volume: volume["Mountpoint"]),
        "Name": ("VOLUME NAME", lambda volume: volume["Name"]),
        "Scope": ("SCOPE", lambda volume: volume.get("Scope", "")),
        "Size": ("SIZE", size),
        "Status": ("STATUS", lambda volume: UNKNOWN),
    },
    methods={"Label": lambda volume, key: (volume.get("Labels") or {}).get(key, "")},
    raw="name: {{.Name}}\ndriver: {{.Driver}}\n",
)
