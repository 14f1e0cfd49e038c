"""An archive from a URL, for `import`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from boxship.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    from urllib.request import OpenerDirector

TIMEOUT: Final = 60.0
PIECE: Final = 1 << 18


def chunks(url: str) -> Iterator[bytes]:
    """Yield what a URL gives; only http and https, a missing scheme being http."""
    # The daemon does without these until they are needed.
    from http.client import HTTPException, IncompleteRead

    whole = url if "://" in url else f"http://{url}"
    if urlsplit(whole).scheme not in ("http", "https"):
        raise InvalidRequest(f"{url[:200]!r} is neither an http nor an https URL")
    try:
        with _opener().open(whole, timeout=TIMEOUT) as answer:
            while piece := answer.read(PIECE):
                yield piece
            if answer.length:  # what is missing of the length that was announced
                raise IncompleteRead(b"", answer.length)
    except (OSError, HTTPException, ValueError) as error:
        raise Unavailable(f"error downloading {url[:200]}: {error}") from error


def _opener() -> OpenerDirector:
    """Return what follows redirections, but to http and https alone."""
    from urllib import request

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler,
        request.UnknownHandler,
        request.HTTPHandler,
        request.HTTPSHandler,
        request.HTTPDefaultErrorHandler,
        request.HTTPRedirectHandler,
        request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
