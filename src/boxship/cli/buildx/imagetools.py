"""Images in registries: shown, and put together under new names."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="imagetools [OPTIONS] COMMAND",
    summary="Commands to work on images in registry",
    names=("buildx imagetools", "builder imagetools"),
    flags=(
        Flag("annotation", "", "create: add annotation to the image", "array"),
        Flag("append", "", "create: append to existing manifest"),
        Flag("builder", "", "Accepted: no builder takes part", "string", "", hidden=True),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("dry-run", "", "create: show final image instead of pushing"),
        Flag("file", "f", "create: read source descriptor from file", "array"),
        Flag("format", "", "inspect: format the output using a Go template", "string", ""),
        Flag("metadata-file", "", "create: write its descriptor to a file", "string", ""),
        Flag("platform", "p", "create: take only these platforms", "array"),
        Flag("prefer-index", "", "create: make an index also of one manifest", "bool", True),
        Flag("progress", "", "Accepted: what is pushed is told in lines", "string", "auto"),
        Flag("raw", "", "inspect: show original, unformatted JSON manifest"),
        Flag("tag", "t", "create: set reference for new image", "array"),
    ),
    details=(
        "Commands:\n"
        "  create [SOURCE...]  Create a new image based on source images\n"
        "  inspect NAME        Show details of an image in the registry\n"
    ),
)


def run(shell: Shell, words: list[str], **given: Any) -> int:
    """Do what the first word says."""
    find_libraries()
    from boxship.cli.building.combining import create
    from boxship.cli.building.imagetools import inspect
    from boxship.errors import BoxshipError, InvalidRequest

    try:
        verb, rest = (words[0], words[1:]) if words else ("", [])
        if verb == "create":
            return create(shell, rest, given)
        if verb != "inspect":
            raise InvalidRequest(f"unknown command: boxship buildx imagetools {verb}".rstrip())
        if len(rest) != 1:
            raise InvalidRequest('"boxship buildx imagetools inspect" requires exactly 1 argument')
        return inspect(shell, rest[0], given["format"], raw=given["raw"])
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")
