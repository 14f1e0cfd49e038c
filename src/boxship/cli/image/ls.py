"""List images."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.formatter import put, render
from boxship.cli.image.listing import DEFAULT_DIGESTS, IMAGES, rows_of
from boxship.cli.options import FORMAT_USAGE, filters_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="ls [OPTIONS] [REPOSITORY[:TAG]]",
    summary="List images",
    names=(
        "image ls",
        "image list",
        "images",
    ),
    flags=(
        Flag("all", "a", "Show intermediate images too"),
        Flag("digests", "", "Show digests"),
        Flag("filter", "f", "Show only images that meet a condition", "filter"),
        Flag("format", "", FORMAT_USAGE, "string", ""),
        Flag("no-trunc", "", "Do not shorten what is long"),
        Flag("quiet", "q", "Show only IDs"),
        Flag("tree", "", "Show the platforms of each image as a tree (experimental)"),
    ),
    at_most=1,
    words="image",
)


def run(
    shell: Shell,
    words: list[str],
    *,
    all: bool,
    digests: bool,
    filter: list[str],
    format: str,
    no_trunc: bool,
    quiet: bool,
    tree: bool,
) -> int:
    """Ask for the list and lay it out."""
    filters = filters_of(filter)
    if words:
        filters.setdefault("reference", []).append(words[0])
    if tree:
        from boxship.cli.image.tree import show_tree

        for flag, given in (("quiet", quiet), ("no-trunc", no_trunc), ("show-digest", digests)):
            if given:
                return shell.report(f"--{flag} is not yet supported with --tree")
        if format:
            return shell.report("--format is not yet supported with --tree")
        images = shell.client.images
        found = images.list(everything=all, filters=filters, manifests=True)
        show_tree(shell.out, found, everything=all)
        return 0
    format = format or ("" if quiet else shell.config.text("imagesFormat"))
    found = shell.client.images.list(everything=all, filters=filters)
    rows = rows_of(found, filters, no_trunc=no_trunc, digests=digests, format=format)
    if quiet:
        format = "{{.ID}}"
    put(shell, render(IMAGES, rows, format, default=DEFAULT_DIGESTS if digests else ""))
    return 0
