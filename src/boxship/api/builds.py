"""Builds that are under way, by the numbers their clients gave them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from boxship.api.render.numbers import Numbers
from boxship.errors import BoxshipError, NotFound, NotSupported


class Cancelled(BoxshipError):
    """The build was stopped by somebody who asked for that."""

    def __init__(self) -> None:
        super().__init__("context canceled")


CANCELLED: Final = "build_canceled"
SYNTAX: Final = "dockerfile_syntax_error"
OTHER: Final = "error_processing_commands_error"
BY_MESSAGE: Final = {
    "cannot be empty": "dockerfile_empty_error",
    "unknown instruction": "unknown_instruction_error",
    "target stage": "build_target_not_reachable_error",
    "ONBUILD requires": "missing_onbuild_arguments_error",
}
NOT_SUPPORTED: Final = "command_not_supported_error"
REASONS: Final = (SYNTAX, NOT_SUPPORTED, OTHER, CANCELLED, *BY_MESSAGE.values())
"""Why builds fail, in the words of dockerd's metrics."""


def reason_of(error: BaseException) -> str:
    """Return why a build has failed."""
    if isinstance(error, Cancelled | asyncio.CancelledError):
        return CANCELLED
    from boxship.build.control.failures import causes
    from boxship.build.dockerfile.errors import DockerfileError

    for cause in causes(error):
        if isinstance(cause, DockerfileError):
            said = str(cause)
            return next((why for words, why in BY_MESSAGE.items() if words in said), SYNTAX)
        if isinstance(cause, NotSupported):
            return NOT_SUPPORTED
    return OTHER


class Builds:
    """Lets a build be cancelled from another connection."""

    def __init__(self) -> None:
        self.numbers = Numbers()
        self.begun = 0
        self.failed: dict[str, int] = dict.fromkeys(REASONS, 0)
        self._running: dict[str, asyncio.Task[object]] = {}
        self._cancelled: set[str] = set()

    @contextmanager
    def counted(self) -> Iterator[None]:
        """The block is a build; note why it fails."""
        self.begun += 1
        try:
            yield
        except BaseException as error:
            self.failed[reason_of(error)] += 1
            raise

    @contextmanager
    def named(self, id: str) -> Iterator[None]:
        """The caller's task is the build of this number, while the block runs."""
        task = asyncio.current_task()
        if not id or task is None:
            yield
            return
        self._running[id] = task
        try:
            yield
        except asyncio.CancelledError:
            if id not in self._cancelled:
                raise  # it is the client that has gone
            task.uncancel()
            raise Cancelled from None
        finally:
            self._cancelled.discard(id)
            if self._running.get(id) is task:
                del self._running[id]

    def cancel(self, id: str) -> None:
        """Stop a build; NotFound where there is none of this number."""
        task = self._running.get(id)
        if task is None:
            raise NotFound(f"no such build: {id[:100]}")
        self._cancelled.add(id)
        task.cancel()
