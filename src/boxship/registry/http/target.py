"""What a request's target asks for. A repository's name may hold any of the words used here.

/v2/                                    /v2/NAME/manifests/REFERENCE
/v2/_catalog                            /v2/NAME/blobs/DIGEST
/v2/NAME/tags/list                      /v2/NAME/blobs/uploads/[ID]
/v2/NAME/referrers/DIGEST
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import parse_qsl, unquote_to_bytes

from boxship.errors import InvalidRequest

PATH_LIMIT: Final = 2048
QUERY_LIMIT: Final = 8192
FIELDS: Final = 32
TAIL: Final = re.compile(
    r"/v2/(?P<name>.+)/(?:"
    r"(?P<tags>tags/list)"
    r"|blobs/uploads/(?P<upload>[^/]*)"
    r"|(?P<kind>manifests|blobs|referrers)/(?P<item>[^/]+)"
    r")"
)


class Place(StrEnum):
    """What kind of thing a path is."""

    BASE = "base"
    CATALOG = "catalog"
    TAGS = "tags"
    MANIFEST = "manifest"
    BLOB = "blob"
    UPLOADS = "uploads"
    UPLOAD = "upload"
    REFERRERS = "referrers"
    OTHER = "other"


KINDS: Final = {"manifests": Place.MANIFEST, "blobs": Place.BLOB, "referrers": Place.REFERRERS}


@dataclass(frozen=True, slots=True)
class Target:
    """A path, read; `name` and `item` are still what the client said."""

    place: Place
    path: str
    name: str
    item: str
    query: Mapping[str, tuple[str, ...]]

    def one(self, key: str) -> str:
        """Return a parameter's first value, "" where it is not given."""
        values = self.query.get(key)
        return values[0] if values else ""


def read(raw: bytes, prefix: str = "") -> Target:
    """Read a request's target; InvalidRequest when it cannot be one."""
    path_bytes, _, query_bytes = raw.partition(b"?")
    if len(path_bytes) > PATH_LIMIT or len(query_bytes) > QUERY_LIMIT:
        raise InvalidRequest("the request's target is too long")
    try:
        path = unquote_to_bytes(path_bytes).decode("utf-8")
        query = _query(query_bytes.decode("ascii"))
    except (UnicodeDecodeError, ValueError) as error:
        raise InvalidRequest("the request's target cannot be read") from error
    if prefix:
        if not path.startswith(prefix):
            return Target(Place.OTHER, path, "", "", query)
        path = path[len(prefix) :]
    return _place(path, query)


def _place(path: str, query: Mapping[str, tuple[str, ...]]) -> Target:
    if path in ("/v2/", "/v2"):
        return Target(Place.BASE, path, "", "", query)
    if path in ("/v2/_catalog", "/v2/_catalog/"):
        return Target(Place.CATALOG, path, "", "", query)
    if not (found := TAIL.fullmatch(path)):
        return Target(Place.OTHER, path, "", "", query)
    name = found["name"]
    if found["tags"]:
        return Target(Place.TAGS, path, name, "", query)
    if found["upload"] is not None:
        place = Place.UPLOAD if found["upload"] else Place.UPLOADS
        return Target(place, path, name, found["upload"], query)
    if found["kind"] == "blobs" and found["item"] == "uploads":
        return Target(Place.UPLOADS, path, name, "", query)
    return Target(KINDS[found["kind"]], path, name, found["item"], query)


def _query(text: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=FIELDS, errors="strict")
    for key, value in pairs:
        found[key] = (*found.get(key, ()), value)
    return found
