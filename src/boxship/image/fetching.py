"""An archive from a URL, for `import`."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from boxship.errors import InvalidRequest, Unavailable

TIMEOUT: Final = 60.0
PIECE: Final = 1 << 18


def chunks(url: str) -> Iterator[bytes]:
    """Yield what a URL gives; only http and https, a missing scheme being http."""
    whole = url if "://" in url else f"http://{url}"
    if urlsplit(whole).scheme not in ("http", "https"):
        raise InvalidRequest(f"{url[:200]!r} is neither an http nor an https URL")
    try:
        with urllib.request.urlopen(whole, timeout=TIMEOUT) as answer:
            while piece := answer.read(PIECE):
                yield piece
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise Unavailable(f"error downloading {url[:200]}: {error}") from error
