"""What happens in the registry, as its listeners are told. The words are the reference server's."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from boxship.registry.documents import Descriptor


@dataclass(slots=True)
class Target:
    """What something happened to."""

    media_type: str
    digest: str
    size: int
    repository: str
    tag: str = ""
    source: str = ""  # the repository that a blob was mounted from
    references: Sequence[Descriptor] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """Who made it happen."""

    request_id: str = ""
    peer: str = ""
    host: str = ""
    method: str = ""
    agent: str = ""
    actor: str = ""
    base: str = ""  # scheme and host that the client used


@dataclass(frozen=True, slots=True)
class Event:
    """Something that has happened: push, pull, mount or delete."""

    action: str
    target: Target
    source: Source
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


class Events:
    """Tells each listener of each event, at once; a listener must not wait."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[Event], None]] = []

    def add(self, listener: Callable[[Event], None]) -> None:
        self._listeners.append(listener)

    def tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)
