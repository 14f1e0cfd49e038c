"""Show the versions of the command and of the engine."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.inspection import compiled
from boxship.cli.options import INSPECT_FORMAT_USAGE
from boxship.client.engine import NEWEST, show_version
from boxship.errors import BoxshipError
from boxship.lib import moments, quickjson
from boxship.lib.table import columns
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="version [OPTIONS]",
    summary="Show the versions of the command and of the engine",
    names=("version",),
    flags=(Flag("format", "f", INSPECT_FORMAT_USAGE, "string", ""),),
    at_most=0,
)


def run(shell: Shell, words: list[str], *, format: str) -> int:
    """Print our own version, and the engine's where one answers."""
    template = compiled(format)
    problem = ""
    server: dict[str, Any] | None = None
    try:
        server = shell.client.system.version()
    except BoxshipError as error:
        problem = str(error)
    client = client_version(shell)
    if not format:
        text = "Client:\n" + client_text(client)
        if server is not None:
            text += "\nServer:\n" + server_text(server)
        shell.out.write(columns(text, least=20, padding=1))
    else:
        document = {"Client": client, "Server": server}
        if template is None:
            shell.out.line(quickjson.encode(document))
        else:
            from boxship.cli.shapes import SHAPE

            shell.out.line(template.render(document, shape=SHAPE))
    return shell.report(problem) if problem else 0


def client_version(shell: Shell) -> dict[str, str]:
    import os
    import sys

    from boxship.cli.connect import context_name
    from boxship.cli.main import VERSION

    newest = show_version(NEWEST)
    machine = os.uname().machine
    arch = {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
    used = shell.client.version if shell.client.daemon else newest
    return {
        "Version": VERSION,
        "ApiVersion": used,
        "DefaultAPIVersion": newest,
        "PythonVersion": ".".join(map(str, sys.version_info[:3])),
        "Os": "linux",
        "Arch": arch,
        "Context": shell.options.get("context") or context_name(shell) or "default",
    }


def client_text(client: dict[str, str]) -> str:
    version = client["ApiVersion"]
    if version != client["DefaultAPIVersion"]:
        version += f" (downgraded from {client['DefaultAPIVersion']})"
    return (
        f" Version:\t{client['Version']}\n API version:\t{version}\n"
        f" Python version:\t{client['PythonVersion']}\n"
        f" OS/Arch:\t{client['Os']}/{client['Arch']}\n Context:\t{client['Context']}\n"
    )


def server_text(server: dict[str, Any]) -> str:
    """Return a block for each of the engine's components."""
    parts: list[str] = []
    for component in server.get("Components") or [_whole(server)]:
        details = component.get("Details") or {}
        name = component.get("Name", "")
        parts.append(f" {visible(name)}:\n")
        rows = [("Version", component.get("Version", ""))]
        if name == "Engine":
            rows += engine_rows(details)
        else:
            rows += sorted(details.items())
        parts += [f"  {visible(key)}:\t{visible(str(value))}\n" for key, value in rows]
    return "".join(parts)


def _whole(server: dict[str, Any]) -> dict[str, Any]:
    return {"Name": "Engine", "Version": server.get("Version", ""), "Details": server}


def engine_rows(details: dict[str, Any]) -> list[tuple[str, str]]:
    api = f"{details.get('ApiVersion', '')} (minimum version {details.get('MinAPIVersion', '')})"
    rows = [("API version", api)]
    for key, title in (("GoVersion", "Go version"), ("PythonVersion", "Python version")):
        if details.get(key):
            rows.append((title, details[key]))
    if details.get("GitCommit"):
        rows.append(("Git commit", details["GitCommit"]))
    if details.get("BuildTime"):
        rows.append(("Built", _built(details["BuildTime"])))
    rows.append(("OS/Arch", f"{details.get('Os', '')}/{details.get('Arch', '')}"))
    rows.append(("Experimental", str(details.get("Experimental", "false")).lower()))
    return rows


def _built(text: str) -> str:
    try:
        return moments.ansi_c(moments.parse(text))
    except ValueError:
        return text
