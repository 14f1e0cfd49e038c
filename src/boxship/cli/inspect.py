"""Show all that is known of objects of any kind."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.inspection import inspect_each
from boxship.cli.options import INSPECT_FORMAT_USAGE
from boxship.client.errors import EngineError
from boxship.errors import NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="inspect [OPTIONS] NAME|ID [NAME|ID...]",
    summary="Return low-level information on objects of any kind",
    names=("inspect",),
    flags=(
        Flag("format", "f", INSPECT_FORMAT_USAGE, "string", ""),
        Flag("size", "s", "Show sizes as well, of containers"),
        Flag("type", "", "Look only among objects of this type", "string", ""),
    ),
    at_least=1,
)
OTHERS = ("config", "node", "plugin", "secret", "service", "task")


def run(shell: Shell, words: list[str], *, format: str, size: bool, type: str) -> int:
    """Look among containers, images, networks and volumes, in this order."""
    client = shell.client
    kinds: dict[str, Callable[[str], str]] = {
        "container": lambda ref: client.containers.inspect_text(ref, size=size),
        "image": client.images.inspect_text,
        "network": client.networks.inspect_text,
        "volume": client.volumes.inspect_text,
    }
    for kind in OTHERS:
        kinds[kind] = _by_path(shell, kind)
    if type:
        if type not in kinds:
            allowed = ", ".join(f'"{kind}"' for kind in sorted(kinds))
            return shell.report(f'unknown type: "{type}": must be one of {allowed}')
        return inspect_each(shell, words, format, kinds[type])

    def find(ref: str) -> str:
        for get in kinds.values():
            try:
                return get(ref)
            except EngineError as error:
                if not _passes(error):
                    raise
        raise EngineErrorLike(ref)

    return inspect_each(shell, words, format, find)


def _by_path(shell: Shell, kind: str) -> Callable[[str], str]:
    from boxship.client.engine import escape

    suffix = "/json" if kind == "plugin" else ""
    return lambda ref: shell.client.call_text("GET", f"/{kind}s/{escape(ref)}{suffix}")


def _passes(error: EngineError) -> bool:
    """Tell whether an engine's refusal only says that there is no such thing here."""
    swarm = "swarm" in error.message and error.status in (406, 500, 503)
    return error.status in (404, 501) or swarm or "plugin not found" in error.message


class EngineErrorLike(EngineError, NotFound):
    """Nothing of any kind has the name."""

    def __init__(self, ref: str) -> None:
        super().__init__(404, ref)
        self.args = (f"Error: No such object: {ref}",)
