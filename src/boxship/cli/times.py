"""Times on the command line: a moment, or how long ago."""

from __future__ import annotations

import time

from boxship.errors import InvalidRequest
from boxship.lib import duration, moments

SECOND = moments.SECOND
# Lengths of the forms that stop early: a date, with hours, with minutes.
FILLED = {10: "T00:00:00", 13: ":00:00", 16: ":00"}


def time_of(text: str, now: float | None = None) -> str:
    """Return seconds since 1970 with nine digits, as calls take them; empty stays empty.

    `10m` is that long ago; a date or a time without a zone is local; plain seconds stay.
    """
    if not text:
        return ""
    if _is_number(text):
        return text
    try:
        ago = duration.parse(text)
    except ValueError:
        return show(_moment(text))
    return show(int((time.time() if now is None else now) * SECOND) - ago)


def _is_number(text: str) -> bool:
    whole, _, part = text.partition(".")
    return whole.lstrip("-").isdecimal() and (not part or part.isdecimal())


def show(nanoseconds: int) -> str:
    seconds, part = divmod(nanoseconds, SECOND)
    return f"{seconds}.{part:09d}"


def _moment(text: str) -> int:
    whole = text + FILLED.get(len(text), "")
    zoned = whole[-1:] in "Zz" or (len(whole) > 19 and whole[-6] in "+-" and whole[-3] == ":")
    try:
        if zoned:
            return moments.parse(whole)
        near = moments.parse(whole + "Z")
    except (ValueError, IndexError):
        raise InvalidRequest(
            f'invalid value for time: failed to parse value as time or duration: "{text}"'
        ) from None
    # The offset that holds at that time of the year.
    return near - time.localtime(near // SECOND).tm_gmtoff * SECOND
