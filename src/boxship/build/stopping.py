"""Lets long work in a thread end when nobody wants its result any more."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

_event: Final[ContextVar[threading.Event | None]] = ContextVar("stop", default=None)


class Stopped(Exception):
    """Nobody wants the result any more."""


@contextmanager
def by(event: threading.Event) -> Iterator[None]:
    """Let `check` in the block, and in what it calls, raise once the event is set."""
    token = _event.set(event)
    try:
        yield
    finally:
        _event.reset(token)


def check() -> None:
    """Raise Stopped if it is time to stop."""
    event = _event.get()
    if event is not None and event.is_set():
        raise Stopped
