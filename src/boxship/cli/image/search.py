"""Search Docker Hub for images."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.formatter import Listing, put, render
from boxship.cli.options import FORMAT_USAGE, filters_of
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

    Row = tuple[dict[str, Any], bool]

COMMAND = Command(
    usage="search [OPTIONS] TERM",
    summary="Search Docker Hub for images",
    names=("search",),
    flags=(
        Flag("filter", "f", "Show only images that meet a condition", "filter"),
        Flag("format", "", FORMAT_USAGE, "string", ""),
        Flag("limit", "", "Most results", "int", 0),
        Flag("no-trunc", "", "Do not shorten what is long"),
    ),
    at_least=1,
    at_most=1,
)
LONGEST = 45


def run(
    shell: Shell, words: list[str], *, filter: list[str], format: str, limit: int, no_trunc: bool
) -> int:
    """Print a line for each image found."""
    from boxship.cli.credentials import authorization

    (term,) = words
    found = shell.client.images.search(term, limit, filters_of(filter), authorization(shell, term))
    put(shell, render(RESULTS, [(one, no_trunc) for one in found], format))
    return 0


def description(row: Row) -> str:
    """Return the description on one line, cut where it may be."""
    text = " ".join(str(row[0].get("description") or "").split("\n")).replace("\r", " ")
    text = visible(text)
    if row[1] or len(text) <= LONGEST:
        return text
    return text[: LONGEST - 1] + "…"


def _marked(key: str) -> Any:
    return lambda row: "[OK]" if row[0].get(key) else ""


RESULTS = Listing(
    "*formatter.searchContext",
    "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    {
        "Description": ("DESCRIPTION", description),
        "IsAutomated": ("AUTOMATED", _marked("is_automated")),
        "IsOfficial": ("OFFICIAL", _marked("is_official")),
        "Name": ("NAME", lambda row: visible(str(row[0].get("name", "")))),
        "StarCount": ("STARS", lambda row: str(row[0].get("star_count", 0))),
    },
)
