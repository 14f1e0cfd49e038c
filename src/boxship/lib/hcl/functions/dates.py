"""Moments."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Final

from boxship.lib.hcl.functions.define import STRING, takes
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import Value

TOKEN: Final = re.compile(r"'(?:[^']|'')*'|([A-Za-z])\1*|[^A-Za-z']+")
UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
SPAN: Final = re.compile(r"([+-]?)((?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+)")
PIECE: Final = re.compile(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)")


def a_moment(value: Value) -> datetime.datetime:
    said = STRING(value)
    try:
        if "T" not in said:
            raise ValueError
        moment = datetime.datetime.fromisoformat(said)
    except ValueError:
        raise BadValue(f'not a valid RFC3339 timestamp: "{said}"') from None
    if moment.tzinfo is None:
        raise BadValue(f'not a valid RFC3339 timestamp: "{said}"')
    return moment


def _zone(at: datetime.datetime, *, colon: bool, letter: bool) -> str:
    offset = int((at.utcoffset() or datetime.timedelta()).total_seconds() // 60)
    if letter and not offset:
        return "Z"
    sign, offset = "-" if offset < 0 else "+", abs(offset)
    return f"{sign}{offset // 60:02d}{':' if colon else ''}{offset % 60:02d}"


def _part(said: str, at: datetime.datetime) -> str:
    match said:
        case "YYYY" | "YY":
            return f"{at.year:04d}"[-len(said) :]
        case "MMMM" | "MMM":
            return at.strftime("%B" if said == "MMMM" else "%b")
        case "MM" | "DD" | "hh" | "mm" | "ss" | "M" | "D" | "h" | "m" | "s":
            number = {"M": at.month, "D": at.day, "h": at.hour, "m": at.minute, "s": at.second}
            return f"{number[said[0]]:0{len(said)}d}"
        case "HH" | "H":
            return f"{at.hour % 12 or 12:0{len(said)}d}"
        case "EEEE" | "EEE":
            return at.strftime("%A" if said == "EEEE" else "%a")
        case "AA" | "aa":
            half = "AM" if at.hour < 12 else "PM"
            return half if said == "AA" else half.lower()
        case "ZZZZZ" | "ZZZZ" | "ZZZ" | "Z":
            zone = _zone(at, colon=said in ("ZZZZZ", "Z"), letter=said in ("Z", "ZZZ"))
            return "UTC" if said == "ZZZ" and zone == "Z" else zone
    raise BadValue(f"invalid date format verb {said!r}")


def _format(pattern: str, at: datetime.datetime) -> str:
    found, end = "", 0
    for token in TOKEN.finditer(pattern):
        end = token.end()
        if token[0].startswith("'"):
            found += token[0][1:-1].replace("''", "'")
        elif token[1]:
            found += _part(token[0], at)
        else:
            found += token[0]
    if end != len(pattern):
        raise BadValue("unterminated literal '")
    return found


def _later(at: datetime.datetime, by: str) -> str:
    said = SPAN.fullmatch(by)
    if said is None:
        raise BadValue(f'invalid duration "{by}"')
    seconds = sum(float(number) * UNITS[unit] for number, unit in PIECE.findall(said[2]))
    try:
        moment = at + datetime.timedelta(seconds=-seconds if said[1] == "-" else seconds)
    except OverflowError:
        raise BadValue("the moment is out of range") from None
    return shown(moment)


def shown(at: datetime.datetime) -> str:
    """Return a moment as RFC 3339 has it, in whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S") + _zone(at, colon=True, letter=True)


def _now() -> str:
    return shown(datetime.datetime.now(datetime.UTC))


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "formatdate": takes(STRING, a_moment)(_format),
    "timeadd": takes(a_moment, STRING)(_later),
    "timestamp": takes()(_now),
}
