"""Wait for containers to stop."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.errors import BoxshipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="wait CONTAINER [CONTAINER...]",
    summary="Block until one or more containers stop, then print their exit codes",
    names=(
        "container wait",
        "wait",
    ),
    at_least=1,
    words="container",
)


def run(shell: Shell, words: list[str]) -> int:
    """Print each exit code when its container has stopped."""

    def wait(name: str) -> None:
        containers = shell.client.containers
        report = containers.wait_result(containers.wait(name))
        problem = (report.get("Error") or {}).get("Message")
        if problem:
            raise BoxshipError(problem)
        shell.out.line(str(report["StatusCode"]))
        shell.out.flush()

    return shell.for_each(words, wait, show=False)
