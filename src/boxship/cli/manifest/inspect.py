"""Display an image manifest, or manifest list."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.manifest.store import Entry
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="inspect [OPTIONS] [MANIFEST_LIST] MANIFEST",
    summary="Display an image manifest, or manifest list",
    names=("manifest inspect",),
    flags=(
        Flag("insecure", "", "Talk to a registry without TLS, or with a certificate of its own"),
        Flag("verbose", "v", "Show layers and platforms too"),
    ),
    at_least=1,
    at_most=2,
)


def run(shell: Shell, words: list[str], *, insecure: bool, verbose: bool) -> int:
    """Show what is in a local list, else what a registry has."""
    find_libraries()
    from boxship.cli.manifest.remote import Remote, ask
    from boxship.cli.manifest.store import Lists, NoSuchManifest, named

    ref = named(words[-1])
    lists = Lists(shell)
    if len(words) == 2:
        _show_one(shell, lists.get(named(words[0]), ref), verbose)
        return 0
    try:
        _show_list(shell, lists.list(ref), verbose)
        return 0
    except NoSuchManifest:
        pass

    async def found(remote: Remote) -> Entry | list[Entry]:
        return await (remote.entries if await remote.is_list(ref) else remote.entry)(ref)

    answer = ask(shell, ref.host, insecure, found)
    if isinstance(answer, list):
        _show_list(shell, answer, verbose)
    else:
        _show_one(shell, answer, verbose)
    return 0


def _show_one(shell: Shell, entry: Entry, verbose: bool) -> None:
    from boxship.lib import quickjson

    text = entry.raw.decode("utf-8", "surrogateescape")
    if verbose:
        text = quickjson.encode(entry.document())
    shell.out.line(quickjson.indent(text, "\t"))


def _show_list(shell: Shell, entries: list[Entry], verbose: bool) -> None:
    from boxship.cli.manifest.remote import list_document
    from boxship.lib import quickjson

    if verbose:
        text = quickjson.encode([entry.document() for entry in entries])
        shell.out.line(quickjson.indent(text, "\t"))
        return
    shell.out.line(list_document(entries)[1].decode())
