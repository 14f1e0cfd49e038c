"""`$NAME`, `${NAME:-default}` and their like in compose files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from boxship.cli.baking.documents import Instead
from boxship.errors import InvalidRequest

PLACE: Final = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{)")
NAME: Final = re.compile(r"([A-Za-z_]\w*)(:?[-+?])?")
DEPTH: Final = 20


def filled(said: Any, environment: Mapping[str, str], place: str = "") -> Any:
    """Return a document with the variables' values in its texts; failures name the place."""
    if isinstance(said, str):
        try:
            return substituted(said, environment)
        except InvalidRequest as error:
            raise InvalidRequest(f"error while interpolating {place}: {error}") from None
    if isinstance(said, dict):
        inner = f"{place}." if place else ""
        return {key: filled(value, environment, f"{inner}{key}") for key, value in said.items()}
    if isinstance(said, list):
        return [filled(one, environment, f"{place}[{at}]") for at, one in enumerate(said)]
    if isinstance(said, Instead):
        return Instead(filled(said.value, environment, place))
    return said


def substituted(text: str, environment: Mapping[str, str], depth: int = 0) -> str:
    """Return a text with values for its variables; one that is not set is empty."""
    if depth > DEPTH:
        raise InvalidRequest("variables are nested too deep")
    found, at = "", 0
    while place := PLACE.search(text, at):
        found += text[at : place.start()]
        at = place.end()
        if place[1]:
            found += "$"
        elif place[2]:
            found += environment.get(place[2], "")
        else:
            end = _closing(text, at)
            found += _braced(text[at:end], environment, depth)
            at = end + 1
    return found + text[at:]


def _closing(text: str, at: int) -> int:
    depth = 1
    for place in range(at, len(text)):
        if text.startswith("${", place):
            depth += 1
        elif text[place] == "}":
            depth -= 1
            if not depth:
                return place
    raise InvalidRequest(f"invalid interpolation format for {text!r}: a brace is not closed")


def _braced(said: str, environment: Mapping[str, str], depth: int) -> str:
    found = NAME.match(said)
    if found is None or (not found[2] and found.end() != len(said)):
        raise InvalidRequest(f"invalid interpolation format: ${{{said}}}")
    name, sign, rest = found[1], found[2] or "", said[found.end() :]
    value = environment.get(name)
    missing = value is None or (sign.startswith(":") and not value)
    match sign[-1:]:
        case "-" if missing:
            return substituted(rest, environment, depth + 1)
        case "+":
            return "" if missing else substituted(rest, environment, depth + 1)
        case "?" if missing:
            why = substituted(rest, environment, depth + 1)
            raise InvalidRequest(f"required variable {name} is missing a value: {why or 'not set'}")
    return value or ""
