"""Create a local manifest list for annotating and pushing to a registry."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="create MANIFEST_LIST MANIFEST [MANIFEST...]",
    summary="Create a local manifest list for annotating and pushing to a registry",
    names=("manifest create",),
    flags=(
        Flag("amend", "a", "Add to a list that exists"),
        Flag("insecure", "", "Talk to a registry without TLS, or with a certificate of its own"),
    ),
    at_least=2,
)


def run(shell: Shell, words: list[str], *, amend: bool, insecure: bool) -> int:
    """Look each manifest up in its registry and keep it in the list."""
    find_libraries()
    from boxship.cli.manifest.remote import ask
    from boxship.cli.manifest.store import Lists, NoSuchManifest, named
    from boxship.errors import InvalidRequest

    try:
        target = named(words[0])
    except InvalidRequest as error:
        problem = f"error parsing name for manifest list {words[0]}: {error}"
        raise InvalidRequest(problem) from error
    lists = Lists(shell)
    try:
        lists.list(target)
    except NoSuchManifest:
        pass
    else:
        if not amend:
            return shell.report("refusing to amend an existing manifest list with no --amend flag")
    for word in words[1:]:
        ref = named(word)
        try:
            entry = lists.get(target, ref)
        except NoSuchManifest:
            entry = ask(shell, ref.host, insecure, lambda remote, ref=ref: remote.entry(ref))  # type: ignore[misc]
        lists.save(target, ref, entry)
    shell.out.line(f"Created manifest list {target}")
    return 0
