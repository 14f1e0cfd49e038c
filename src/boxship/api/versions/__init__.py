"""Older versions of the Engine API: each difference is a small pure step downward.

Handlers answer for the newest version. A step says which document it reshapes, and for clients of
which versions: those below the one named. Steps of newer versions go first.

    @below("1.52", engine.EventMessage)
    def with_legacy_fields(event: Object) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from boxship.api.version import NEWEST, ApiVersion, parse

Object = dict[str, Any]
Step = Callable[[Object], None]

_STEPS: Final[dict[type, list[tuple[ApiVersion, Step]]]] = {}


def below(version: str, *kinds: type) -> Callable[[Step], Step]:
    """Let the decorated step change documents of these kinds for clients older than `version`."""

    def note(step: Step) -> Step:
        for kind in kinds:
            steps = _STEPS.setdefault(kind, [])
            steps.append((parse(version), step))
            steps.sort(key=lambda entry: entry[0], reverse=True)
        return step

    return note


def steps_for(kind: type, version: ApiVersion) -> Sequence[Step]:
    """Return what changes a document of this kind for clients of `version`, in order."""
    return [step for newer, step in _STEPS.get(kind, ()) if version < newer]


def reshape(document: object, version: ApiVersion) -> object:
    """Return the document as clients of `version` know it."""
    if version == NEWEST or not document:
        return document
    first = document[0] if isinstance(document, list) else document
    if not isinstance(first, msgspec.Struct):
        return document
    steps = steps_for(type(first), version)
    if not steps:
        return document
    plain = msgspec.to_builtins(document, enc_hook=str)
    for one in plain if isinstance(plain, list) else [plain]:
        for step in steps:
            step(one)
    return plain
