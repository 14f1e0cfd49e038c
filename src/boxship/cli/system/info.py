"""Show what the engine is and has."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.inspection import compiled
from boxship.cli.options import INSPECT_FORMAT_USAGE
from boxship.cli.system.facts import server_lines
from boxship.errors import BoxshipError
from boxship.lib import quickjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="info [OPTIONS]",
    summary="Display system-wide information",
    names=("system info", "info"),
    flags=(Flag("format", "f", INSPECT_FORMAT_USAGE, "string", ""),),
    at_most=0,
)


def run(shell: Shell, words: list[str], *, format: str) -> int:
    """Print client and engine, and the engine's warnings at the end."""
    from boxship.cli.connect import context_name
    from boxship.cli.main import VERSION

    template = compiled(format)
    problem = ""
    found: dict[str, Any] = {}
    try:
        found = shell.client.system.info()
    except BoxshipError as error:
        problem = str(error)
    context = shell.options.get("context") or context_name(shell) or "default"
    debug = bool(shell.options.get("debug"))
    if format:
        client: dict[str, object] = {
            "Debug": debug,
            "Version": VERSION,
            "Context": context,
            "Plugins": [],
        }
        document = {**found, "ClientInfo": {**client, "Warnings": None}}
        if problem:
            document["ServerErrors"] = [problem]
        if template is None:
            shell.out.line(quickjson.encode(document))
        else:
            from boxship.cli.shapes import SHAPE

            shell.out.line(template.render(document, shape=SHAPE))
        return shell.report(problem) if problem else 0
    lines = [
        "Client:",
        f" Version:    {VERSION}",
        f" Context:    {context}",
        f" Debug Mode: {str(debug).lower()}",
        "",
        "Server:",
    ]
    if problem:
        shell.out.write("\n".join(lines) + "\n")
        return shell.report(problem)
    shell.out.write("\n".join([*lines, *server_lines(found)]) + "\n\n")
    for warning in found.get("Warnings") or []:
        shell.say(warning)
    return 0
