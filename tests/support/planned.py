"""The native runtime as starters have it: what is planned ahead is performed."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterator

from boxship.runtime.ahead import Ahead, Unsuited
from boxship.runtime.api import CreateRequest, ExecRequest, Init, Stdio
from boxship.runtime.native import NativeRuntime
from boxship.runtime.prepared import Performer, Underway


class PlannedRuntime(NativeRuntime):
    """Plans for addresses and numbers that are agreed upon."""

    def __init__(self) -> None:
        super().__init__()
        self._performer = Performer()
        self._ahead = Ahead(self.plans, self._performer.stage.address)
        self.planned = 0

    def run(self, request: CreateRequest) -> Init:
        given = {"root": request.root, **_streams(request.stdio)}
        if request.netns is not None:
            given["netns"] = request.netns
        given |= {f"join.{kind}": fd for kind, fd in request.join.items()}
        low = self._performer.lowest(certainly=True)
        try:
            with self._ahead.first(request, list(given), low) as (plan, fds):
                self.adopt(request.id, plan.cgroup)
                self.planned += 1
                with self._undone(request.id):
                    return _follow(self._performer.begin(plan, fds, given, low))
        except Unsuited:
            return super().run(request)

    @contextlib.contextmanager
    def _undone(self, container: str) -> Iterator[None]:
        """Remove the cgroup, as a shim does, should the start fail."""
        try:
            yield
        except BaseException:
            self.delete(container)
            raise

    def exec(self, request: ExecRequest) -> Init:
        given = {"init": request.init.pidfd, **_streams(request.stdio)}
        low = self._performer.lowest(certainly=True)
        with self._ahead.further(request, list(given), low) as (plan, fds):
            self.planned += 1
            copies = [os.dup(fd) for fd in fds]
        init = _follow(self._performer.begin(plan, copies, given, low))
        for copy in copies:
            if copy != init.terminal:
                os.close(copy)
        return init


def _follow(underway: Underway) -> Init:
    """Wait until the program runs."""
    while (init := underway.advance()) is None:
        poll = select.poll()
        for fd in underway.waits_for:
            poll.register(fd, select.POLLIN)
        poll.poll()
    return init


def _streams(stdio: Stdio) -> dict[str, int]:
    named = (("stdin", stdio.stdin), ("stdout", stdio.stdout), ("stderr", stdio.stderr))
    return {name: fd for name, fd in named if fd is not None}
