"""The fields of an image in lists. An image has a row for each of its names."""

from __future__ import annotations

import time

from boxship.cli.formatter import Listing
from boxship.lib import duration, moments
from boxship.lib.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from boxship.client.documents import ImageSummary

NONE = "<none>"
UNKNOWN = "N/A"


class Row:
    """One name of an image."""

    __slots__ = ("digest", "image", "repository", "tag", "whole")

    def __init__(
        self, image: ImageSummary, repository: str, tag: str, digest: str, *, whole: bool
    ) -> None:
        self.image = image
        self.repository = repository
        self.tag = tag
        self.digest = digest
        self.whole = whole


def rows_of(
    images: Iterable[ImageSummary],
    filters: Mapping[str, list[str]],
    *,
    no_trunc: bool,
    digests: bool,
    format: str,
) -> list[Row]:
    """Return the rows; a digest has one of its own only where digests are shown."""
    shows_digest = digests or ".Digest" in format
    wants_named = "dangling" not in filters
    found: list[Row] = []
    for image in images:
        found.extend(_rows(image, shows_digest, wants_named, no_trunc))
    return found


def _rows(image: ImageSummary, shows_digest: bool, wants_named: bool, whole: bool) -> list[Row]:
    tags: dict[str, list[str]] = {}
    digests: dict[str, list[str]] = {}
    for name in image.get("RepoTags") or []:
        repository, _, tag = name.rpartition(":")
        if name != "<none>:<none>":
            tags.setdefault(repository, []).append(tag)
    for name in image.get("RepoDigests") or []:
        repository, _, digest = name.partition("@")
        if name != "<none>@<none>":
            digests.setdefault(repository, []).append(digest)
    found: list[Row] = []
    for repository, names in tags.items():
        known = digests.pop(repository, [])
        if not shows_digest:
            found += [Row(image, repository, tag, NONE, whole=whole) for tag in names]
            continue
        for tag in names:
            found += [
                Row(image, repository, tag, digest, whole=whole) for digest in known or [NONE]
            ]
    for repository, known in digests.items():
        if not shows_digest:
            found.append(Row(image, repository, NONE, NONE, whole=whole))
        else:
            found += [Row(image, repository, NONE, digest, whole=whole) for digest in known]
    return found or [Row(image, NONE, NONE, NONE, whole=whole)]


def identifier(row: Row) -> str:
    full = row.image["Id"]
    return full if row.whole else full.removeprefix("sha256:")[:12]


def created_since(row: Row) -> str:
    created = row.image.get("Created", 0)
    return "" if created <= 0 else duration.human(time.time() - created) + " ago"


def created_at(row: Row) -> str:
    created = row.image.get("Created", 0)
    return "" if created <= 0 else moments.go_string(created)


def size(row: Row) -> str:
    return human_size(row.image.get("Size", 0), 3)


def containers(row: Row) -> str:
    count = row.image.get("Containers", -1)
    return UNKNOWN if count < 0 else str(count)


def unique_size(row: Row) -> str:
    shared = row.image.get("SharedSize", -1)
    return UNKNOWN if shared < 0 else human_size(row.image["Size"] - shared)


def shared_size(row: Row) -> str:
    shared = row.image.get("SharedSize", -1)
    return UNKNOWN if shared < 0 else human_size(shared)


SINCE = "{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}"
DEFAULT = f"table {{{{.Repository}}}}\t{{{{.Tag}}}}\t{{{{.ID}}}}\t{SINCE}\t{{{{.Size}}}}"
DEFAULT_DIGESTS = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t" + SINCE + "\t{{.Size}}"
IMAGES = Listing(
    "*formatter.imageContext",
    DEFAULT,
    {
        "Containers": ("CONTAINERS", containers),
        "CreatedAt": ("CREATED AT", created_at),
        "CreatedSince": ("CREATED", created_since),
        "Digest": ("DIGEST", lambda row: row.digest),
        "ID": ("IMAGE ID", identifier),
        "Repository": ("REPOSITORY", lambda row: row.repository),
        "SharedSize": ("SHARED SIZE", shared_size),
        "Size": ("SIZE", size),
        "Tag": ("TAG", lambda row: row.tag),
        "UniqueSize": ("UNIQUE SIZE", unique_size),
        "VirtualSize": ("VIRTUAL SIZE", lambda row: human_size(row.image.get("Size", 0))),
    },
    raw=(
        "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\n"
        "created_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
    ),
)
