"""What the prune commands have in common."""

from __future__ import annotations

from boxship.cli.options import filters_of
from boxship.lib.units import human_size
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxship.cli.shell import Shell


def warning(what: str) -> str:
    """Return the question that is asked first."""
    return f"WARNING! This will remove {what}.\nAre you sure you want to continue?"


def prune_filters(shell: Shell, given: Iterable[str]) -> dict[str, list[str]]:
    """Return the filters of the command line with those of the configuration."""
    found = filters_of(given)
    for text in shell.config.texts("pruneFilters"):
        key, _, value = text.partition("=")
        opposite = {"label": "label!", "label!": "label"}.get(key)
        if opposite and value in found.get(opposite, []):
            continue
        found.setdefault(key, []).append(value)
    return found


def show_deleted(shell: Shell, title: str, names: Iterable[str] | None) -> None:
    lines = list(names or [])
    if lines:
        shell.out.line(title)
        for name in lines:
            shell.out.line(visible(name))
        shell.out.line("")


def show_reclaimed(shell: Shell, size: int) -> None:
    shell.out.line(f"Total reclaimed space: {human_size(size)}")
