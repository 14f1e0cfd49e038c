"""List builders."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.building.builders import Builder
    from boxship.cli.building.nodes import Node
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
FIELDS = ("Name", "Current", "DriverEndpoint", "Status", "Buildkit", "Platforms", "Error")


def run(
    shell: Shell, words: list[str], *, debug: bool, format: str, no_trunc: bool, timeout: int
) -> int:
    """Print each builder, and below it what it runs."""
    find_libraries()
    from boxship.cli.building.builders import Builders
    from boxship.cli.building.nodes import document, node_of

    builders = Builders(shell)
    current = builders.current()
    found = [(one, node_of(shell, one, timeout / 1e9)) for one in builders.every()]
    if format in ("json", "{{json .}}"):
        from boxship.lib import quickjson

        for one, node in found:
            shell.out.line(quickjson.encode(document(one, node, current=one.name == current)))
        return 0
    if format != "table":
        from operator import itemgetter

        from boxship.cli.formatter import Listing, render

        listing = Listing(
            "*commands.lsContext",
            "",
            {name: (name.upper(), itemgetter(name)) for name in FIELDS},
        )
        lines = [line for one, node in found for line in _lines(one, node, current)]
        shell.out.write(render(listing, lines, format))
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


def _lines(one: Builder, node: Node, current: str) -> list[dict[str, object]]:
    """Return what templates are filled with: a builder, and then its node."""
    nothing = dict.fromkeys(FIELDS, "")
    return [
        {
            **nothing,
            "Name": one.name,
            "Current": one.name == current,
            "DriverEndpoint": one.driver,
            "Error": node.problem,
        },
        {
            **nothing,
            "Name": one.node,
            "Current": False,
            "DriverEndpoint": one.endpoint or one.name,
            "Status": node.status,
            "Buildkit": node.version,
            "Platforms": ", ".join(node.platforms),
            "Error": node.problem,
        },
    ]
