"""An interactive debugger of builds: refused."""

from __future__ import annotations

from boxship.cli.buildx.refusal import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = refused("debug", "docker buildx debug works with this engine", "invoke", "on")


def run(shell: Shell, words: list[str], **given: object) -> int:
    """Refuse, with the reason."""
    return shell.report(
        "ERROR: buildx debug is not supported: a shell in a failed step is shown by "
        "docker buildx debug --on=error, which works with this engine"
    )
