"""The fields of a container in lists."""

from __future__ import annotations

import time

from boxship.cli.container.ports import show_ports
from boxship.cli.formatter import Listing
from boxship.lib import duration
from boxship.lib.units import human_size
from boxship.lib.words import shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.client.documents import ContainerSummary

    # A row is the engine's summary and whether long values stay whole.
    Row = tuple[ContainerSummary, bool]

COMMAND_LENGTH = 20
MOUNT_LENGTH = 15


def identifier(row: Row) -> str:
    return row[0]["Id"] if row[1] else row[0]["Id"][:12]


def names(row: Row) -> str:
    """Return the container's own name and those that links give it."""
    found = [name.removeprefix("/") for name in row[0].get("Names") or []]
    if not row[1]:
        found = [name for name in found if "/" not in name]
    return ",".join(found)


def image(row: Row) -> str:
    """Return the image's name; one that has lost its name is told by the start of its ID."""
    summary, whole = row
    name = summary["Image"]
    if not name:
        return "<no image>"
    if whole:
        return name
    full = summary.get("ImageID", "")
    if full and (name == full or name == full.removeprefix("sha256:")):
        return full.removeprefix("sha256:")[:12]
    base, at, _ = name.partition("@sha256:")
    if at:
        return base
    return name.removeprefix("sha256:")[:12] if name.startswith("sha256:") else name


def command(row: Row) -> str:
    text = row[0].get("Command", "")
    if not row[1]:
        text = shorten(text, COMMAND_LENGTH)
    return quoted(text)


def quoted(text: str) -> str:
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    from boxship.lib.templates.gofmt import quote

    return quote(text)


def created_at(row: Row) -> str:
    from boxship.lib import moments

    return moments.go_string(row[0]["Created"])


def running_for(row: Row) -> str:
    return duration.human(time.time() - row[0]["Created"]) + " ago"


def size(row: Row) -> str:
    summary = row[0]
    text = human_size(summary.get("SizeRw", 0), 3)
    virtual = summary.get("SizeRootFs", 0)
    return f"{text} (virtual {human_size(virtual, 3)})" if virtual > 0 else text


def labels(row: Row) -> str:
    found = row[0].get("Labels") or {}
    return ",".join(f"{key}={found[key]}" for key in sorted(found))


def label(row: Row, key: str) -> str:
    return (row[0].get("Labels") or {}).get(key, "")


def mounts(row: Row) -> str:
    found: list[str] = []
    for mount in row[0].get("Mounts") or []:
        name = str(mount.get("Name") or mount.get("Source") or "")
        found.append(name if row[1] else shorten(name, MOUNT_LENGTH))
    return ",".join(found)


def local_volumes(row: Row) -> str:
    local = [mount for mount in row[0].get("Mounts") or [] if mount.get("Driver") == "local"]
    return str(len(local))


def networks(row: Row) -> str:
    found = (row[0].get("NetworkSettings") or {}).get("Networks") or {}
    return ",".join(sorted(found))


def platform(row: Row) -> object:
    return (row[0].get("ImageManifestDescriptor") or {}).get("platform")


def wants_size(format: str) -> bool:
    """Tell whether a format shows sizes, which cost the engine a walk through the files."""
    return ".Size" in format or "json ." in format


DEFAULT = (
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
)
DEFAULT_SIZED = DEFAULT + "\t{{.Size}}"
CONTAINERS = Listing(
    "*formatter.ContainerContext",
    DEFAULT,
    {
        "Command": ("COMMAND", command),
        "CreatedAt": ("CREATED AT", created_at),
        "ID": ("CONTAINER ID", identifier),
        "Image": ("IMAGE", image),
        "Labels": ("LABELS", labels),
        "LocalVolumes": ("LOCAL VOLUMES", local_volumes),
        "Mounts": ("MOUNTS", mounts),
        "Names": ("NAMES", names),
        "Networks": ("NETWORKS", networks),
        "Platform": ("PLATFORM", platform),
        "Ports": ("PORTS", lambda row: show_ports(row[0].get("Ports") or [])),
        "RunningFor": ("CREATED", running_for),
        "Size": ("SIZE", size),
        "State": ("STATE", lambda row: row[0].get("State", "")),
        "Status": ("STATUS", lambda row: row[0].get("Status", "")),
    },
    methods={"Label": label},
    raw=(
        "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\n"
        "created_at: {{.CreatedAt}}\nstate: {{.State}}\nstatus: {{.Status}}\n"
        "names: {{.Names}}\nlabels: {{- if .Labels}} {{.Labels}}{{end}}\n"
        "ports: {{- if .Ports}} {{.Ports}}{{end}}\n"
    ),
)
