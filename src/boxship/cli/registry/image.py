"""Make an image of the registry in the engine."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.registry.program import command_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from boxship.cli.shell import Shell

PIECE = 1 << 20
COMMAND = Command(
    usage="image [OPTIONS] [NAME]",
    summary="Make an image of the registry, of what runs it here",
    names=("registry image",),
    flags=(Flag("output", "o", "Write an archive instead of loading it", "string", ""),),
    at_most=1,
)


def run(shell: Shell, words: list[str], *, output: str) -> int:
    """Load what the registry's program writes into the engine, or keep it as a file."""
    import subprocess

    from boxship.lib.words import visible_block

    command = command_line("image", words)
    if output:
        with open(output, "wb") as file:
            return subprocess.run(command, stdout=file).returncode
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:

        def pieces() -> Iterator[bytes]:
            assert program.stdout is not None
            while piece := program.stdout.read(PIECE):
                yield piece

        response = shell.client.images.load(pieces(), quiet=True)
        shell.out.write(visible_block(_said(response.text())))
    return program.returncode


def _said(text: str) -> str:
    """Return the words in the engine's answer, which is plain or a line of JSON each."""
    from boxship.lib import quickjson

    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("{"):
            document = quickjson.decode(line.encode())
            line = str(document.get("stream") or document.get("error") or "").rstrip("\n")
        lines.append(line)
    return "".join(f"{line}\n" for line in lines if line)
