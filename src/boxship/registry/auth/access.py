"""What a request wants, who asks for it, and whoever decides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Action(StrEnum):
    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    LIST = "*"  # of the catalog; in a token it stands for all


@dataclass(frozen=True, slots=True)
class Access:
    """Some actions on one thing: a repository by name, or the registry's catalog."""

    type: str
    name: str
    actions: frozenset[str]

    @classmethod
    def repository(cls, name: str, *actions: Action) -> Access:
        return cls("repository", name, frozenset(actions))

    def scope(self) -> str:
        """Return it as a token's scope: `repository:NAME:pull,push`."""
        return f"{self.type}:{self.name}:{','.join(sorted(self.actions))}"


CATALOG = Access("registry", "catalog", frozenset({Action.LIST}))


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says of who sends it."""

    authorization: str
    peer: str
    base: str  # how the client calls this server: scheme and host


class Identity(Protocol):
    """Somebody who has been let in."""

    @property
    def name(self) -> str: ...

    def may(self, access: Access) -> bool:
        """Whether they may do this as well."""

    def sees(self, repository: str) -> bool:
        """Whether the catalog shows them a repository."""


class Authority(Protocol):
    """Decides who is let in."""

    async def admit(self, asked: Asked, wanted: Sequence[Access]) -> Identity:
        """Return who asks; NotAuthenticated, Denied or TooManyRequests when they may not."""


class Anybody:
    """Who asks where nobody is asked for a name."""

    name = ""

    def may(self, access: Access) -> bool:
        return True

    def sees(self, repository: str) -> bool:
        return True


class Open:
    """Lets in everybody."""

    async def admit(self, asked: Asked, wanted: Sequence[Access]) -> Identity:
        return Anybody()


def scopes(wanted: Iterable[Access]) -> str:
    """Return all of it as one list of scopes."""
    return " ".join(access.scope() for access in wanted)
