"""Remove all that nothing uses."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.image.naming import removed_line
from boxship.cli.pruning import prune_filters, show_deleted, show_reclaimed, warning
from boxship.client.errors import EngineError
from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="prune [OPTIONS]",
    summary="Remove unused data",
    names=("system prune",),
    flags=(
        Flag("all", "a", "Remove all images that no container uses, not only untagged ones"),
        Flag("filter", "", "Remove only what meets a condition", "filter"),
        Flag("force", "f", "Do not ask"),
        Flag("volumes", "", "Remove anonymous volumes as well"),
    ),
    at_most=0,
)


def run(
    shell: Shell,
    words: list[str],
    *,
    all: bool,
    filter: list[str],
    force: bool,
    volumes: bool,
) -> int:
    """Remove containers, networks, volumes, images and build cache, in this order."""
    filters = prune_filters(shell, filter)
    if volumes and "until" in filters:
        raise InvalidRequest('ERROR: The "until" filter is not supported with "--volumes"')
    if not force and not shell.confirm(_question(all, volumes, filters)):
        return 0
    client = shell.client
    gone = client.containers.prune(filters)
    space = gone.get("SpaceReclaimed", 0)
    show_deleted(shell, "Deleted Containers:", gone.get("ContainersDeleted"))
    gone = client.networks.prune(filters)
    show_deleted(shell, "Deleted Networks:", gone.get("NetworksDeleted"))
    if volumes:
        gone = client.volumes.prune(filters)
        space += gone.get("SpaceReclaimed", 0)
        show_deleted(shell, "Deleted Volumes:", gone.get("VolumesDeleted"))
    images = client.images.prune({**filters, "dangling": ["false" if all else "true"]})
    space += images.get("SpaceReclaimed", 0)
    lines = [removed_line(step) for step in images.get("ImagesDeleted") or []]
    show_deleted(shell, "Deleted Images:", lines)
    try:
        cache = client.system.prune_build_cache(everything=all, filters=filters)
    except EngineError as error:
        if error.status not in (404, 501):  # an engine that does not build has no cache
            raise
        cache = {}
    space += cache.get("SpaceReclaimed", 0)
    show_deleted(shell, "Deleted build cache objects:", cache.get("CachesDeleted"))
    show_reclaimed(shell, space)
    return 0


def _question(all: bool, volumes: bool, filters: dict[str, list[str]]) -> str:
    unused = "not used by at least one container"
    what = ["all stopped containers", f"all networks {unused}"]
    if volumes:
        what.append(f"all anonymous volumes {unused}")
    what.append(
        "all images without at least one container associated to them"
        if all
        else "all dangling images"
    )
    what.append("all build cache" if all else "unused build cache")
    text = "WARNING! This will remove:\n" + "".join(f"  - {item}\n" for item in what)
    if filters:
        text += "\n  Items to be pruned will be filtered with:\n"
        text += "".join(f"  - {key}={value}\n" for key in sorted(filters) for value in filters[key])
    question = warning("x").partition("\n")[2]
    return f"{text}\n{question}"
