"""Look into builds that have failed, or into what they have come to."""

from __future__ import annotations

from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

FLAGS = (
    Flag("invoke", "", "Launch a monitor with executing specified command", "string", ""),
    Flag("on", "", "When to launch the monitor ([always, error])", "string", "error"),
)
COMMAND = Command(
    usage="debug [OPTIONS] build [OPTIONS] PATH",
    summary="Build, and open a shell where a step has failed",
    names=("buildx debug", "builder debug"),
    flags=(
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("debug", "D", "Show all of the warnings"),
        *FLAGS,
    ),
    at_least=1,
    stops=True,
    details=(
        "Commands:\n"
        "  build                      Build an image, with all of the options of `build`\n"
        "\n"
        "The monitor knows attach, disconnect, exec, exit, help, list, ps, reload, rollback.\n"
    ),
)


def run(shell: Shell, words: list[str], **given: Any) -> int:
    """Do the build that the words ask for."""
    from boxship.cli.debugging.command import run

    return run(shell, words, given)
