"""Tell of the builder."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.spec.buildkit import control_pb2 as pb

COMMAND = Command(
    usage="buildx inspect [NAME]",
    summary="Tell of the builder",
    names=("buildx inspect",),
    flags=(
        Flag("bootstrap", "", "Accepted and without effect: the engine's builder always runs"),
        Flag("builder", "", "Only the engine's own builder, default", "string", "", hidden=True),
    ),
    at_most=1,
)
NAME = "default"


def run(shell: Shell, words: list[str], *, bootstrap: bool, builder: str) -> int:
    """Print what it is and what it can."""
    name = words[0] if words else builder or NAME
    if name != NAME:
        return shell.report(f'no builder "{name}" found')
    find_libraries()
    from boxship.cli.building.remote import ask

    shell.out.line(f"Name:   {NAME}\nDriver: boxship\n\nNodes:")
    for worker in ask(shell, lambda builds: builds.workers()):
        shell.out.line(f"Name:             {NAME}")
        shell.out.line(f"Endpoint:         {shell.client.target.url}")
        shell.out.line("Status:           running")
        shell.out.line(f"BuildKit version: {worker.version.version}")
        shell.out.line(f"Platforms:        {platforms(worker)}")
        shell.out.line("Labels:")
        for key in sorted(worker.labels):
            shell.out.line(f" {key}: {worker.labels[key]}")
    return 0


def platforms(worker: pb.Worker) -> str:
    """Return the platforms that a worker builds for."""
    return ", ".join(
        "/".join(part for part in (p.os, p.architecture, p.variant) if part)
        for p in worker.platforms
    )
