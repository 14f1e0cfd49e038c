"""The fields of a step in an image's history."""

from __future__ import annotations

import time

from boxship.cli.formatter import Listing
from boxship.lib import duration, moments
from boxship.lib.units import human_size
from boxship.lib.words import shorten

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.client.documents import HistoryStep

    # A row is the step, whether people read it, and whether long values stay whole.
    Row = tuple[HistoryStep, bool, bool]

COMMAND_LENGTH = 45


def identifier(row: Row) -> str:
    text = row[0]["Id"]
    return text if row[2] else text.removeprefix("sha256:")[:12]


def created_since(row: Row) -> str:
    created = row[0].get("Created", 0)
    if not row[1]:
        return moments.show(created * moments.SECOND, local=True)
    return duration.human(time.time() - created) + " ago" if created > 0 else UNKNOWN


def created_by(row: Row) -> str:
    text = row[0].get("CreatedBy", "").replace("\t", " ")
    return text if row[2] else shorten(text, COMMAND_LENGTH)


def size(row: Row) -> str:
    return human_size(row[0].get("Size", 0), 3) if row[1] else str(row[0].get("Size", 0))


def created_at(row: Row) -> str:
    return moments.show(row[0].get("Created", 0) * moments.SECOND, local=True)


UNKNOWN = "N/A"
EXACT = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
STEPS = Listing(
    "*formatter.historyContext",
    "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}",
    {
        "Comment": ("COMMENT", lambda row: row[0].get("Comment", "")),
        "CreatedAt": ("CREATED AT", created_at),
        "CreatedBy": ("CREATED BY", created_by),
        "CreatedSince": ("CREATED", created_since),
        "ID": ("IMAGE", identifier),
        "Size": ("SIZE", size),
    },
)
