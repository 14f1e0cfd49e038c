"""A debugger for editors: refused."""

from __future__ import annotations

from boxship.cli.buildx.refusal import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = refused("dap", "there is no debug adapter")


def run(shell: Shell, words: list[str], **given: object) -> int:
    """Refuse, with the reason."""
    return shell.report("ERROR: buildx dap is not supported: there is no debug adapter for editors")
