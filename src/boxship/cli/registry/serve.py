"""Run a private registry."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.registry.program import CONFIG_USAGE, ROOT, become

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage=f"serve {CONFIG_USAGE}",
    summary="Run a private registry",
    names=("registry serve",),
    flags=(
        Flag("addr", "", "Where to listen", "string", "", shown=":5000"),
        Flag("delete", "", "Allow clients to delete"),
        Flag("htpasswd", "", "Let in only the users of this file", "string", ""),
        Flag("log-level", "", "debug, info, warn or error", "string", "", shown="info"),
        Flag("metrics", "", "Offer /metrics for Prometheus"),
        Flag("proxy", "", "Pull through this registry (URL)", "string", ""),
        Flag("read-only", "", "Refuse every change"),
        ROOT,
        Flag("tls-cert", "", "Certificate, for HTTPS", "string", ""),
        Flag("tls-key", "", "Key of the certificate", "string", ""),
        Flag("validate", "", "Read the configuration and leave"),
    ),
    at_most=1,
    details="CONFIG is a YAML file, as of the distribution registry; flags stand over it.",
)


def run(shell: Shell, words: list[str], **flags: object) -> int:
    """Become the registry, until it is told to stop."""
    become(shell, "serve", words, **flags)
