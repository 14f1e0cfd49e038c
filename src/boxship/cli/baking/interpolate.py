"""`$NAME`, `${NAME:-default}` and their like in compose files, and `.env` beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, Final

from boxship.errors import InvalidRequest

PLACE: Final = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{)")
NAME: Final = re.compile(r"([A-Za-z_]\w*)(:?[-+?])?")
LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.]*)\s*[=:](.*)")
DEPTH: Final = 20


def filled(said: Any, environment: Mapping[str, str]) -> Any:
    """Return a document with the variables' values in its texts."""
    if isinstance(said, str):
        return substituted(said, environment)
    if isinstance(said, dict):
        return {key: filled(value, environment) for key, value in said.items()}
    if isinstance(said, list):
        return [filled(one, environment) for one in said]
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


def dotenv(folder: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Read a folder's `.env`; nothing where there is none."""
    try:
        with open(os.path.join(folder, ".env"), encoding="utf-8") as file:
            lines = file.read(1 << 20).splitlines()
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"failed to read .env: {error}") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        said = LINE.fullmatch(line)
        if said is None:
            raise InvalidRequest(f".env:{number}: this is no NAME=VALUE")
        found[said[1]] = _value(said[2].strip(), {**found, **environment})
    return found


def _value(said: str, environment: Mapping[str, str]) -> str:
    if said[:1] == "'" and (end := said.find("'", 1)) > 0:
        return said[1:end]
    if said[:1] == '"' and (end := said.rfind('"')) > 0:
        plain = said[1:end].replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
        return substituted(plain, environment)
    return substituted(re.split(r"\s+#", said)[0].strip(), environment)
