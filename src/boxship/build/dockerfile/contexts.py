"""Named contexts: what `--build-context` puts in place of an image or a stage."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from boxship.build.dockerfile.options import Options
from boxship.build.dockerfile.state import SCRATCH
from boxship.build.ops import Source
from boxship.errors import InvalidRequest
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

RESERVED = frozenset({SCRATCH, "context"})


def normal(name: str) -> str:
    """Return the one form of a name under which it is looked up."""
    try:
        return Reference.parse(name).familiar.removesuffix(":latest")
    except InvalidRequest:
        return name


def find(options: Options, name: str, platform: Platform | None) -> str | None:
    """Return what stands in for a name, for a platform or for all; None where nothing does."""
    return instead_of(name, options.contexts, platform or options.target_platform)


def instead_of(name: str, named: Mapping[str, str], platform: Platform) -> str | None:
    """Return which of the named contexts stands in for a name."""
    if not named or name.lower() in RESERVED:
        return None
    wanted = normal(name)
    known = {_key(key): value for key, value in named.items()}
    for key in (f"{wanted}::{platform}", wanted):
        if key in known:
            return known[key]
    return None


def without(identifier: str, excludes: Sequence[str]) -> Source:
    """Return a folder of the client's without what its `.dockerignore` names."""
    if not excludes:
        return Source(identifier)
    return Source(identifier, (("local.excludepatterns", json.dumps([*excludes])),))


def _key(key: str) -> str:
    name, colons, platform = key.partition("::")
    return normal(name) + colons + platform
