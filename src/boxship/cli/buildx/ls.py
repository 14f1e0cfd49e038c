"""List builders."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="ls [OPTIONS]",
    summary="List builder instances",
    names=("buildx ls", "buildx list", "builder ls"),
    flags=(
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("format", "", "Format the output: table, json or a Go template", "string", "table"),
        Flag("no-trunc", "", "Don't truncate output"),
        Flag("timeout", "", "How long a builder may take to answer", "duration", 20 * 10**9),
    ),
    at_most=0,
)
TITLES = ("NAME/NODE", "DRIVER/ENDPOINT", "STATUS", "BUILDKIT", "PLATFORMS")
WIDEST = 60


def run(
    shell: Shell, words: list[str], *, debug: bool, format: str, no_trunc: bool, timeout: int
) -> int:
    """Print each builder, and below it what it runs."""
    find_libraries()
    from boxship.cli.building.builders import Builders
    from boxship.cli.building.nodes import node_of

    builders = Builders(shell)
    current = builders.current()
    found = [(one, node_of(shell, one, timeout / 1e9)) for one in builders.every()]
    if format != "table":
        from boxship.cli.formatter import Listing, render

        listing = Listing(
            "*commands.lsContext",
            "",
            {
                "Name": ("NAME/NODE", lambda row: row[0].name),
                "Current": ("CURRENT", lambda row: row[0].name == current),
                "DriverEndpoint": ("DRIVER/ENDPOINT", lambda row: row[0].endpoint or row[0].driver),
                "Status": ("STATUS", lambda row: row[1].status),
                "Buildkit": ("BUILDKIT", lambda row: row[1].version),
                "Platforms": ("PLATFORMS", lambda row: ", ".join(row[1].platforms)),
                "Error": ("ERROR", lambda row: row[1].problem),
            },
        )
        shell.out.write(render(listing, found, format))
        return 0
    rows = [TITLES]
    for one, node in found:
        platforms = ", ".join(node.platforms)
        if not no_trunc and len(platforms) > WIDEST:
            platforms = platforms[: WIDEST - 1] + "…"
        rows.append((one.name + ("*" if one.name == current else ""), one.driver, "", "", ""))
        endpoint = one.endpoint or one.name
        node_row = (f" \\_ {one.node}", f" \\_ {endpoint}", node.status, node.version, platforms)
        rows.append(node_row)
    widths = [max(len(row[place]) for row in rows) + 3 for place in range(4)]
    for row in rows:
        cells = (f"{one:<{width}}" for one, width in zip(row, [*widths, 0], strict=True))
        shell.out.line("".join(cells).rstrip())
    for one, node in found:
        if node.problem:
            shell.err.line(f"Cannot load builder {one.name}: {node.problem}")
    return 0
