"""Search Docker Hub for images."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.formatter import Listing, put, render
from boxship.cli.options import FORMAT_USAGE, filters_of
from boxship.lib.words import shorten, visible

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
WIDEST = 45


def run(
    shell: Shell, words: list[str], *, filter: list[str], format: str, limit: int, no_trunc: bool
) -> int:
    """Print a line for each image found."""
    from boxship.cli.credentials import authorization

    (term,) = words
    found = shell.client.images.search(term, limit, filters_of(filter), authorization(shell, term))
    rows = [(one, no_trunc) for one in found]
    if format == "json":
        shell.out.write("".join(map(json_line, rows)))
    else:
        put(shell, render(RESULTS, rows, format))
    return 0


def description(row: Row) -> str:
    """Return the description on one line, cut where it may be."""
    text = str(row[0].get("description") or "").replace("\n", " ").replace("\r", " ")
    return text if row[1] else shorten(text, WIDEST)


def json_line(row: Row) -> str:
    """Return a result as a JSON document; what is marked in a table is true here."""
    from boxship.lib import quickjson
    from boxship.lib.templates.functions import for_html

    found = {
        "Description": description(row),
        "IsOfficial": "true" if row[0].get("is_official") else "false",
        "Name": row[0].get("name", ""),
        "StarCount": str(row[0].get("star_count", 0)),
    }
    return for_html(quickjson.encode(found)) + "\n"


def _marked(key: str) -> Any:
    return lambda row: "[OK]" if row[0].get(key) else ""


RESULTS = Listing(
    "*formatter.searchContext",
    "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
    {
        "Description": ("DESCRIPTION", lambda row: visible(description(row))),
        "IsAutomated": ("AUTOMATED", _marked("is_automated")),
        "IsOfficial": ("OFFICIAL", _marked("is_official")),
        "Name": ("NAME", lambda row: visible(str(row[0].get("name", "")))),
        "StarCount": ("STARS", lambda row: str(row[0].get("star_count", 0))),
    },
)
