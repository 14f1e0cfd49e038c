"""Moments as filters give them: a time, seconds since 1970, or how long ago."""

from __future__ import annotations

from boxship.errors import InvalidRequest
from boxship.lib import duration, moments

SECOND = 1_000_000_000
DIGITS = 18  # that 64 bits have room for


def before(text: str, now: int) -> int:
    """Return nanoseconds since 1970; `now` is what a length of time counts back from."""
    seconds, _, part = text.partition(".")
    if (
        seconds.isascii()
        and seconds.isdigit()
        and len(seconds) <= DIGITS
        and (not part or (part.isascii() and part.isdigit()))
    ):
        return int(seconds) * SECOND + int(part[:9].ljust(9, "0") or "0")
    for shape in (text, f"{text}Z", f"{text}:00Z", f"{text}T00:00:00Z"):
        try:
            return moments.parse(shape)
        except ValueError:
            continue
    try:
        return now - duration.parse(text)
    except ValueError:
        raise InvalidRequest(f'failed to parse value as time or duration: "{text}"') from None
