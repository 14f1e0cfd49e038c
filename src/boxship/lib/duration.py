"""Lengths of time: Go's notation, and how people say them."""

from __future__ import annotations

NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
SECOND = 1_000_000_000
LIMIT = 1 << 63


def parse(text: str) -> int:
    """Read `1h15m30.918s` as nanoseconds; ValueError in Go's words."""
    wrong = f'time: invalid duration "{text}"'
    rest, sign = text, 1
    if rest[:1] in ("-", "+"):
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(wrong)
    total = 0
    while rest:
        digits = _prefix(rest, "0123456789.")
        if not digits.strip(".") or digits.count(".") > 1:
            raise ValueError(wrong)
        rest = rest[len(digits) :]
        unit = _until_digit(rest)
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in NANOSECONDS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        rest = rest[len(unit) :]
        whole, _, part = digits.partition(".")
        total += int(whole or "0") * NANOSECONDS[unit]
        total += int(part or "0") * NANOSECONDS[unit] // 10 ** len(part)
        if total > LIMIT:
            raise ValueError(wrong)
    return sign * total


def _prefix(text: str, allowed: str) -> str:
    at = 0
    while at < len(text) and text[at] in allowed:
        at += 1
    return text[:at]


def _until_digit(text: str) -> str:
    at = 0
    while at < len(text) and text[at] not in "0123456789.":
        at += 1
    return text[:at]


def show(nanoseconds: int) -> str:
    """Return the length in Go's notation: `1m30s`, `1.5s`, `300ms`."""
    if nanoseconds == 0:
        return "0s"
    sign = "-" if nanoseconds < 0 else ""
    value = abs(nanoseconds)
    if value < SECOND:
        for unit in ("ms", "µs", "ns"):
            if value >= NANOSECONDS[unit]:
                return sign + _decimal(value, NANOSECONDS[unit]) + unit
    hours, value = divmod(value, NANOSECONDS["h"])
    minutes, value = divmod(value, NANOSECONDS["m"])
    text = _decimal(value, SECOND) + "s"
    if hours:
        return f"{sign}{hours}h{minutes}m{text}"
    return f"{sign}{minutes}m{text}" if minutes else sign + text


def _decimal(value: int, unit: int) -> str:
    whole, part = divmod(value, unit)
    if not part:
        return str(whole)
    digits = str(part).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"


def human(seconds: float) -> str:
    """Say a length of time in one unit, as `docker ps` does: `About a minute`, `3 weeks`."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = int(seconds / 3600 + 0.5)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"
