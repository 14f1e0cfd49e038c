"""Whether the options of a target can be read, before anything is built."""

from __future__ import annotations

from collections.abc import Mapping

from boxship.cli.baking.target import Target
from boxship.cli.building.fields import cache_of, fields, output_of, secret_of
from boxship.errors import InvalidRequest


def check(target: Target, environment: Mapping[str, str]) -> None:
    """Raise InvalidRequest where an option of a target cannot be read."""
    for text in target.get("output") or ():
        output_of(text)
    for text in (*(target.get("cache-from") or ()), *(target.get("cache-to") or ())):
        cache_of(text)
    for text in target.get("secret") or ():
        secret_of(text, dict(environment))
    for text in target.get("attest") or ():
        if "type" not in fields(text):
            raise InvalidRequest(f"attestation type not specified: {text!r}")
