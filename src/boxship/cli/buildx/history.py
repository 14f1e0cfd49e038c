"""The builds of the past."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="history [OPTIONS] COMMAND",
    summary="Commands to work on build records",
    names=("buildx history", "builder history"),
    flags=(
        Flag("all", "", "rm, export: all of the records"),
        Flag("addr", "", "trace, open: serve pages on this address", "string", ""),
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("compare", "", "trace: compare with another build", "string", ""),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("file", "f", "import: from this file", "array"),
        Flag("filter", "", 'ls: conditions ("status=error", "repository=…", "ref=…")', "array"),
        Flag("finalize", "", "export: have the record completed first"),
        Flag("format", "", "ls: table, json or a template; inspect: pretty, json", "string", ""),
        Flag("local", "", "ls: only builds of the current folder's repository"),
        Flag("no-trunc", "", "ls: don't truncate output"),
        Flag("output", "o", "export: where the archive goes", "string", ""),
        Flag("platform", "", "inspect attachment: of which platform", "string", ""),
        Flag("progress", "", "logs: plain, rawjson, tty", "string", "plain"),
        Flag("type", "", "inspect attachment: of which predicate type", "string", ""),
    ),
    details=(
        "Commands:\n"
        "  ls                         List build records\n"
        "  inspect [REF]              Inspect a build record\n"
        "  inspect attachment [REF [DIGEST]]  Inspect what belongs to one\n"
        "  logs [REF]                 Print the logs of a build record\n"
        "  rm [REF...]                Remove build records\n"
        "  export [REF...]            Export build records into an archive\n"
        "  import                     Take in build records of an archive\n"
        "  trace [REF]                Show what a build did when\n"
        "  open [REF]                 Serve a build record as a page\n"
    ),
)


def run(shell: Shell, words: list[str], **given: Any) -> int:
    """Do what the first word says; without one, list."""
    find_libraries()
    from boxship.cli.building.past import do
    from boxship.errors import BoxshipError

    try:
        return do(shell, words, given)
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")
