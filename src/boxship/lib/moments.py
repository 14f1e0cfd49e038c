"""Points in time as the API writes them: RFC 3339 with up to nine digits of a second."""

from __future__ import annotations

import time

SECOND = 1_000_000_000
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def days_of(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a date of the proleptic Gregorian calendar."""
    year -= month <= 2
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def parse(text: str) -> int:
    """Read an RFC 3339 time as nanoseconds since 1970; ValueError when it is not one."""
    try:
        date, clock = text[:10], text[11:19]
        if text[4] + text[7] + text[13] + text[16] != "--::" or text[10] not in "Tt ":
            raise ValueError
        rest, part = text[19:], ""
        if rest[:1] == ".":
            part = rest[1:].rstrip("Zz")
            for mark in ("+", "-"):
                part = part.partition(mark)[0]
            rest = rest[1 + len(part) :]
        seconds = days_of(int(date[:4]), int(date[5:7]), int(date[8:])) * 86400
        seconds += int(clock[:2]) * 3600 + int(clock[3:5]) * 60 + int(clock[6:])
        seconds -= _offset(rest)
        return seconds * SECOND + int(part[:9].ljust(9, "0") or "0")
    except (ValueError, IndexError):
        raise ValueError(f"not a time: {text!r}") from None


def _offset(zone: str) -> int:
    if zone in ("Z", "z"):
        return 0
    if len(zone) != 6 or zone[0] not in "+-" or zone[3] != ":":
        raise ValueError(zone)
    seconds = int(zone[1:3]) * 3600 + int(zone[4:]) * 60
    return -seconds if zone[0] == "-" else seconds


def show(nanoseconds: int, *, local: bool = False) -> str:
    """Return a time as Go's RFC3339Nano: no trailing zeros, `Z` for UTC."""
    seconds, part = divmod(nanoseconds, SECOND)
    at = time.localtime(seconds) if local else time.gmtime(seconds)
    text = (
        f"{at.tm_year:04d}-{at.tm_mon:02d}-{at.tm_mday:02d}"
        f"T{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
    )
    if part:
        text += f".{part:09d}".rstrip("0")
    return text + (zone(at.tm_gmtoff) if local and at.tm_gmtoff else "Z")


def zone(offset: int) -> str:
    """Return an offset in seconds as `+01:00`."""
    sign = "-" if offset < 0 else "+"
    hours, minutes = divmod(abs(offset) // 60, 60)
    return f"{sign}{hours:02d}:{minutes:02d}"


def go_string(seconds: int) -> str:
    """Return a time as Go's `Time.String()` in local time: `2026-11-21 04:41:33 +0000 UTC`."""
    at = time.localtime(seconds)
    return (
        f"{at.tm_year:04d}-{at.tm_mon:02d}-{at.tm_mday:02d} "
        f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} "
        f"{zone(at.tm_gmtoff).replace(':', '')} {at.tm_zone}"
    )


def ansi_c(nanoseconds: int) -> str:
    """Return a time as Go's ANSIC layout: `Fri May 30 12:07:14 2025`."""
    at = time.gmtime(nanoseconds // SECOND)
    return (
        f"{WEEKDAYS[at.tm_wday]} {MONTHS[at.tm_mon - 1]} {at.tm_mday:2d} "
        f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} {at.tm_year}"
    )
