"""Patterns for repositories' names: `*` and `?` within a part, `**` for any number of parts.

team/*        team/app, not team/app/base
team/**       team, team/app, team/app/base
home/{user}/**  for the user who asks
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from boxship.lib import globs

USER = "{user}"
SPECIAL = frozenset("*?[]\\^-")


def matches(pattern: str, name: str, user: str = "") -> bool:
    """Whether a repository's name fits; a pattern with `{user}` fits nobody who has no name."""
    if USER in pattern:
        if not user or "/" in user:
            return False
        plain = "".join("\\" + char if char in SPECIAL else char for char in user)
        pattern = pattern.replace(USER, plain)
    return _fits(tuple(pattern.split("/")), tuple(name.split("/")))


@lru_cache(maxsize=4096)
def _fits(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    """Follow all ways at once: `reach` holds how many parts the pattern may have used up."""
    reach = {0}
    for step in pattern:
        if step == "**":
            reach = set(range(min(reach), len(parts) + 1))
        else:
            reach = {at + 1 for at in reach if at < len(parts) and globs.match(step, parts[at])}
        if not reach:
            return False
    return len(parts) in reach
