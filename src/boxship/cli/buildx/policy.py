"""Policies of builds: refused."""

from __future__ import annotations

from boxship.cli.command import Command, Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="policy",
    summary="Refused: policies in Rego are not evaluated",
    names=("buildx policy", "builder policy"),
    flags=(
        Flag("builder", "", "Refused", "string", "", hidden=True),
        Flag("debug", "D", "Refused", hidden=True),
    ),
    hidden=True,
    stops=True,
)


def run(shell: Shell, words: list[str], **given: object) -> int:
    """Refuse, with the reason."""
    return shell.report(
        "ERROR: buildx policy is not supported: policies in Rego are not evaluated; "
        "rules for sources are given by EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
    )
