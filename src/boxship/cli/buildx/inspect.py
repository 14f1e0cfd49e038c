"""Tell of a builder."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="inspect [NAME]",
    summary="Inspect current builder instance",
    names=("buildx inspect", "builder inspect"),
    flags=(
        Flag("bootstrap", "", "Ensure builder has booted before inspecting"),
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("timeout", "", "How long a builder may take to answer", "duration", 20 * 10**9),
    ),
    at_most=1,
)


def run(
    shell: Shell, words: list[str], *, bootstrap: bool, builder: str, debug: bool, timeout: int
) -> int:
    """Print what it is and what it can; with `bootstrap` one that does not answer is an error."""
    find_libraries()
    from boxship.cli.building.builders import chosen_builder
    from boxship.cli.building.nodes import node_of
    from boxship.errors import BoxshipError, Unavailable

    try:
        one = chosen_builder(shell, words[0] if words else builder)
        node = node_of(shell, one, timeout / 1e9)
        if bootstrap and node.problem:
            raise Unavailable(node.problem)
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")
    shell.out.line(f"Name:   {one.name}\nDriver: {one.driver}\n\nNodes:")
    lines = [("Name", one.node), ("Endpoint", one.endpoint or one.name)]
    if one.options:
        said = " ".join(f'{key}="{value}"' for key, value in sorted(one.options.items()))
        lines.append(("Driver Options", said))
    if node.problem:
        lines += [("Status", "inactive"), ("Error", node.problem)]
    else:
        lines += [("Status", node.status), ("BuildKit version", node.version)]
        lines.append(("Platforms", ", ".join(node.platforms)))
    for key, value in lines:
        shell.out.line(f"{key + ':':<17} {value}")
    if node.labels:
        shell.out.line("Labels:")
        width = max(map(len, node.labels)) + 1
        for key, value in sorted(node.labels.items()):
            shell.out.line(f" {key + ':':<{width}} {value}")
    for policy in node.policies:
        shell.out.line(policy)
    return 0
