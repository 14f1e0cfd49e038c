"""Policies of builds: refused."""

from __future__ import annotations

from boxship.cli.buildx.refusal import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = refused("policy", "policies in Rego are not evaluated")


def run(shell: Shell, words: list[str], **given: object) -> int:
    """Refuse, with the reason."""
    return shell.report(
        "ERROR: buildx policy is not supported: policies in Rego are not evaluated; "
        "rules for sources are given by EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
    )
