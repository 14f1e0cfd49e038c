"""Who may do what with which repositories.

Rules add up: what one of them allows is allowed. Where there is none, whoever is known may do all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.registry.auth.access import Access, Action
from boxship.registry.config import AccessRule, AccessSection, BadConfig
from boxship.registry.patterns import matches

ANYBODY: Final = "anonymous"
KNOWN: Final = "*"
ALL: Final = frozenset({Action.PULL, Action.PUSH, Action.DELETE})


@dataclass(frozen=True, slots=True)
class Rule:
    """Some users may do some things with some repositories."""

    repositories: tuple[str, ...]
    users: frozenset[str]
    actions: frozenset[str]


class Rules:
    """All rules of a registry."""

    def __init__(self, section: AccessSection) -> None:
        self._groups: Mapping[str, Sequence[str]] = section.groups
        self._rules = [_rule(one, section.groups) for one in section.rules]
        self._catalog = frozenset(section.catalog)

    def allowed(self, user: str, repository: str) -> frozenset[str]:
        """Return what a user may do with a repository; user "" is somebody unknown."""
        if not self._rules:
            return ALL if user else frozenset()
        who = self._words_for(user)
        found: set[str] = set()
        for rule in self._rules:
            if rule.users & who and any(
                matches(one, repository, user) for one in rule.repositories
            ):
                found |= rule.actions
        return frozenset(found)

    def may(self, user: str, access: Access) -> bool:
        """Whether a user may do all of `access`."""
        return access.actions <= self.granted(user, access)

    def granted(self, user: str, access: Access) -> frozenset[str]:
        """Return the part of `access` that a user has."""
        if access.type == "repository":
            allowed = self.allowed(user, access.name)
            wanted = ALL if "*" in access.actions else access.actions
            return frozenset(wanted & allowed)
        if access.type == "registry" and access.name == "catalog":
            return access.actions if self._catalog & self._words_for(user) else frozenset()
        return frozenset()

    def _words_for(self, user: str) -> frozenset[str]:
        """Return everything in a rule that means this user."""
        if not user:
            return frozenset({ANYBODY})
        groups = {f"@{name}" for name, members in self._groups.items() if user in members}
        return frozenset({ANYBODY, KNOWN, user} | groups)


def _rule(section: AccessRule, groups: Mapping[str, Sequence[str]]) -> Rule:
    for user in section.users:
        if user.startswith("@") and user[1:] not in groups:
            raise BadConfig(f"configuration: access.rules: there is no group {user[1:]!r}")
    actions: set[str] = set()
    for action in section.actions:
        if action == "*":
            actions |= ALL
        elif action in ALL:
            actions.add(action)
        else:
            raise BadConfig(f"configuration: access.rules: {action!r} is no action")
    return Rule(tuple(section.repositories), frozenset(section.users), frozenset(actions))
