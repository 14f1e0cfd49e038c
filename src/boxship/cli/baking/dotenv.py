"""Files of `NAME=VALUE` lines: `.env`, and those that services and includes name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from boxship.cli.baking.interpolate import substituted
from boxship.errors import InvalidRequest

LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*[=:](.*)", re.DOTALL)
ALONE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*")
ENDS: Final = {"'": re.compile(r"'[^']*'"), '"': re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)}
ESCAPE: Final = re.compile(r"\\(.)")
ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


def variables(
    text: str, name: str, environment: Mapping[str, str], *, raw: bool = False
) -> dict[str, str]:
    """Read lines; values may refer to the environment and to lines above, unless `raw`.

    A name alone is the variable of the environment, where there is one.
    """
    found: dict[str, str] = {}
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if said := LINE.fullmatch(line):
            value = said[2].strip()
            if raw:
                found[said[1]] = value
                continue
            # A quoted value goes on until its quote is closed.
            while (end := ENDS.get(value[:1])) and not end.match(value) and at < len(lines):
                value += "\n" + lines[at]
                at += 1
            found[said[1]] = _value(value, {**found, **environment})
        elif said := ALONE.fullmatch(line):
            if said[1] in environment:
                found[said[1]] = environment[said[1]]
        else:
            raise InvalidRequest(f"{name}:{number}: this is no NAME=VALUE")
    return found


def _value(said: str, environment: Mapping[str, str]) -> str:
    if (end := ENDS.get(said[:1])) and (quoted := end.match(said)):
        inner = quoted[0][1:-1]
        if said[0] == "'":
            return inner
        plain = ESCAPE.sub(lambda found: ESCAPES.get(found[1], found[0]), inner)
        return substituted(plain, environment)
    return substituted(re.split(r"\s+#", said)[0].strip(), environment)
