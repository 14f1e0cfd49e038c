"""Notes to the user, beside what was asked for: set off on a terminal, plain elsewhere."""

from __future__ import annotations

from boxship.lib.words import visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

MARK = "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m"
SLANTED = "\x1b[3m{}\x1b[0m"


def note(shell: Shell, text: str) -> None:
    """Say something on standard error that the user may want to know."""
    shell.out.flush()
    first, *rest = visible_block(text).split("\n")
    if shell.err.is_terminal():
        shell.err.line(MARK + SLANTED.format(first))
        for line in rest:
            shell.err.line("         " + SLANTED.format(line))
    else:
        shell.err.line(f" Info -> {first}")
        for line in rest:
            shell.err.line(f"         {line}")
    shell.err.flush()
