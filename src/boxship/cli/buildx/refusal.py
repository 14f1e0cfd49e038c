"""Commands of docker buildx that are there to say why they do nothing."""

from __future__ import annotations

from boxship.cli.command import Command, Flag


def refused(name: str, why: str, *options: str) -> Command:
    """Return a command that takes what docker buildx's takes, and is not offered in help."""
    texts = [Flag(one, "", "Refused", "string", "", hidden=True) for one in ("builder", *options)]
    return Command(
        usage=name,
        summary=f"Refused: {why}",
        names=(f"buildx {name}", f"builder {name}"),
        flags=(*texts, Flag("debug", "D", "Refused", hidden=True)),
        hidden=True,
        stops=True,
    )
