"""Make a base image from the distribution's packages."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.progress import show_progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

KINDS = ("busybox", "debian")

COMMAND = Command(
    usage="bootstrap [OPTIONS] busybox|debian[:SUITE]",
    summary="Make a base image from the distribution's packages",
    names=("image bootstrap",),
    flags=(
        Flag("quiet", "q", "Do not show progress"),
        Flag("tag", "t", "Name of the image (default the distribution's)", "string", ""),
    ),
    at_least=1,
    at_most=1,
    words="",
)


def run(shell: Shell, words: list[str], *, quiet: bool, tag: str) -> int:
    """Show what the engine does, and the name of the image."""
    kind, _, suite = words[0].partition(":")
    if kind not in KINDS:
        return shell.report(f"cannot bootstrap {kind}: one of {', '.join(KINDS)} is expected")
    reports = shell.client.images.bootstrap(kind, suite, tag)
    show_progress(shell.err if quiet else shell.out, reports, quiet=quiet)
    return 0
