"""Delete one or more manifest lists from local storage."""

from __future__ import annotations

from boxship.cli.command import Command

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="rm MANIFEST_LIST [MANIFEST_LIST...]",
    summary="Delete one or more manifest lists from local storage",
    names=("manifest rm",),
    at_least=1,
)


def run(shell: Shell, words: list[str]) -> int:
    """Forget each; one that is not there does not stop the rest."""
    from boxship.cli.manifest.store import Lists, named

    lists = Lists(shell)
    return shell.for_each(words, lambda name: lists.remove(named(name)), show=False)
