"""The life of a container, as a table: which states there are, and what leads where.

Events are things that have happened. The booleans that the API shows are derived when a
container is rendered.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from boxship.errors import Conflict


class State(StrEnum):
    """What a container is doing; the value is the word that clients see."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"

    @property
    def has_process(self) -> bool:
        """Whether there is an init, running or frozen."""
        return self in (State.RUNNING, State.PAUSED)


class Event(StrEnum):
    """What has happened to a container; the value completes "cannot be ..."."""

    STARTED = "started"
    START_FAILED = "failed to start"
    PAUSED = "paused"
    RESUMED = "resumed"
    EXITED = "ended"
    RESTART_PLANNED = "planned to restart"
    RESTART_DROPPED = "kept from restarting"
    REMOVAL_BEGUN = "removed"
    REMOVAL_FAILED = "half removed"


NEXT: Final[Mapping[State, Mapping[Event, State]]] = {
    State.CREATED: {
        Event.STARTED: State.RUNNING,
        Event.START_FAILED: State.CREATED,
        Event.REMOVAL_BEGUN: State.REMOVING,
    },
    State.RUNNING: {
        Event.PAUSED: State.PAUSED,
        Event.EXITED: State.EXITED,
        Event.RESTART_PLANNED: State.RESTARTING,
    },
    State.PAUSED: {
        Event.RESUMED: State.RUNNING,
        Event.EXITED: State.EXITED,
        Event.RESTART_PLANNED: State.RESTARTING,
    },
    State.RESTARTING: {
        Event.STARTED: State.RUNNING,
        Event.START_FAILED: State.EXITED,
        Event.RESTART_PLANNED: State.RESTARTING,
        Event.RESTART_DROPPED: State.EXITED,
        Event.REMOVAL_BEGUN: State.REMOVING,
    },
    State.EXITED: {
        Event.STARTED: State.RUNNING,
        Event.START_FAILED: State.EXITED,
        Event.REMOVAL_BEGUN: State.REMOVING,
    },
    State.REMOVING: {
        Event.REMOVAL_BEGUN: State.REMOVING,
        Event.REMOVAL_FAILED: State.DEAD,
    },
    State.DEAD: {
        Event.REMOVAL_BEGUN: State.REMOVING,
    },
}


def after(state: State, event: Event) -> State:
    """Return the state that follows, or raise Conflict where none does."""
    try:
        return NEXT[state][event]
    except KeyError:
        raise Conflict(f"a container that is {state} cannot be {event}") from None
