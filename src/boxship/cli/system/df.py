"""Show what uses the engine's disk."""

from __future__ import annotations

from boxship.cli.command import Command, Flag, UsageError
from boxship.cli.formatter import put, render
from boxship.cli.options import FORMAT_USAGE
from boxship.cli.system.disk import TOTALS, totals_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="df [OPTIONS]",
    summary="Show what uses the engine's disk",
    names=("system df",),
    flags=(
        Flag("format", "", FORMAT_USAGE, "string", ""),
        Flag("verbose", "v", "Show each image, container and volume"),
    ),
    at_most=0,
)


def run(shell: Shell, words: list[str], *, format: str, verbose: bool) -> int:
    """Print a line for each kind of thing, or each thing."""
    usage = shell.client.system.disk_usage(verbose=verbose)
    if not verbose:
        put(shell, render(TOTALS, totals_of(usage), format))
        return 0
    if format and format != "json":
        raise UsageError("with --verbose the format may only be json", status=1)
    put(shell, _as_json(usage) if format else _tables(usage))
    return 0


def _parts(usage: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the things of each kind, from either form of the answer."""
    found: dict[str, list[Any]] = {}
    for key, group in (
        ("Images", "ImageUsage"),
        ("Containers", "ContainerUsage"),
        ("Volumes", "VolumeUsage"),
        ("BuildCache", "BuildCacheUsage"),
    ):
        items = usage.get(key) or (usage.get(group) or {}).get("Items")
        found[key] = items or []
    return found


def _as_json(usage: dict[str, Any]) -> str:
    from boxship.lib import quickjson

    return quickjson.encode(_parts(usage)) + "\n"


def _tables(usage: dict[str, Any]) -> str:
    from boxship.cli.container.listing import CONTAINERS
    from boxship.cli.image.listing import IMAGES, rows_of
    from boxship.cli.system.disk import BUILD_CACHE
    from boxship.cli.volume.listing import VOLUMES
    from boxship.lib.units import human_size

    parts = _parts(usage)
    for image in parts["Images"]:
        if tags := image.get("RepoTags"):
            image["RepoTags"], image["RepoDigests"] = tags[:1], None
    images = rows_of(parts["Images"], {}, no_trunc=False, digests=False, format="")
    cache = parts["BuildCache"]
    used = sum(record.get("Size", 0) for record in cache if not record.get("Shared"))
    return (
        "Images space usage:\n\n"
        + render(
            IMAGES,
            images,
            "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}"
            "\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}",
        )
        + "\nContainers space usage:\n\n"
        + render(
            CONTAINERS,
            [({**container, "SizeRootFs": 0}, False) for container in parts["Containers"]],
            "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}"
            "\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}",
        )
        + "\nLocal Volumes space usage:\n\n"
        + render(VOLUMES, parts["Volumes"], "table {{.Name}}\t{{.Links}}\t{{.Size}}")
        + f"\nBuild cache usage: {human_size(used)}\n\n"
        + render(BUILD_CACHE, cache)
    )
