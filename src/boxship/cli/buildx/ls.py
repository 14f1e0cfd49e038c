"""List builders: an engine has one."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="buildx ls",
    summary="List builders",
    names=("buildx ls", "buildx list"),
    flags=(Flag("no-trunc", "", "Do not shorten"),),
    at_most=0,
)
NAME = "default"


def run(shell: Shell, words: list[str], *, no_trunc: bool) -> int:
    """Print the builder and what it runs."""
    find_libraries()
    from boxship.cli.building.remote import ask
    from boxship.cli.buildx.inspect import platforms

    shell.out.line(f"{'NAME':<12}{'STATUS':<10}{'BUILDKIT':<16}PLATFORMS")
    for worker in ask(shell, lambda builds: builds.workers()):
        version = worker.version.version
        shell.out.line(f"{NAME + '*':<12}{'running':<10}{version:<16}{platforms(worker)}")
    return 0
