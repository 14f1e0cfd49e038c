"""What a registry says about how to log in: the WWW-Authenticate header.

    Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a:pull"
    Basic realm="Registry"

One header may hold several challenges, and there may be several headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
SCHEME: Final = re.compile(rf"[\s,]*({TOKEN})(?:\s+(?![\s=])|$)")
PARAMETER: Final = re.compile(rf'[\s,]*({TOKEN})\s*=\s*("(?:[^"\\]|\\.)*"|{TOKEN})\s*(?=,|$)')
CREDENTIAL: Final = re.compile(
    r"\s*[A-Za-z0-9._~+/-]+=*\s*(?=,|$)"
)  # a token68, which has no names
LIMIT: Final = 8192


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way to log in; the scheme and the names of its parameters are in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def parse(headers: Iterable[str]) -> list[Challenge]:
    """Read all challenges; what follows something unreadable is left out."""
    return [challenge for header in headers for challenge in _one(header[:LIMIT])]


def _one(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    at = 0
    while scheme := SCHEME.match(header, at):
        at = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := PARAMETER.match(header, at):
            parameters.setdefault(parameter[1].lower(), _plain(parameter[2]))
            at = parameter.end()
        if not parameters and (bare := CREDENTIAL.match(header, at)) and "=" in bare[0]:
            at = bare.end()
        found.append(Challenge(scheme[1].lower(), parameters))
    return found


def _plain(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
