"""Work in a process of its own, whose descriptors and mounts end with it."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeVar

from tests.support.engine import PATIENCE

T = TypeVar("T")


def in_child(work: Callable[[], T], within: float = 120.0 * PATIENCE) -> T:
    """Return what `work` returns when a fork of this process does it; its failure is ours."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def perform(wire: Connection) -> None:
        try:
            wire.send((work(), ""))
        except BaseException:
            wire.send((None, traceback.format_exc()))

    child = context.Process(target=perform, args=(theirs,))
    child.start()
    theirs.close()
    try:
        assert ours.poll(within), "the child has not answered"
        result, failure = ours.recv()
    finally:
        ours.close()
        child.join(30 * PATIENCE)
        if child.is_alive():
            child.kill()
            child.join()
    assert not failure, failure
    return result  # type: ignore[no-any-return]
