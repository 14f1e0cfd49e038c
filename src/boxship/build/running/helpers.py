"""Programs of the host's that steps need, as git is: none is left when a daemon was killed.

<run folder>/host-<id>/     there while one runs; it and its children have MARK=<id> in their
                            environment, by which the next daemon finds what is left of them
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from boxship.errors import NotSupported, Unavailable

MARK: Final = "BOXSHIP_BUILD_HELPER"
PREFIX: Final = "host-"
PASSES: Final = 100  # a process that is found may have begun another meanwhile


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended, and what it wrote."""

    code: int
    out: bytes
    err: bytes


class Helpers:
    """Runs them, each with its children in a session of its own."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    async def run(
        self, words: Sequence[str], environment: Mapping[str, str], folder: str, patience: float
    ) -> Finished:
        """Run a program to its end; whoever is cancelled, or waits too long, ends it."""
        identifier = secrets.token_hex(16)
        trace = os.path.join(self._folder, PREFIX + identifier)
        os.mkdir(trace, 0o700)
        try:
            return await _run(words, {**environment, MARK: identifier}, folder, patience)
        finally:
            os.rmdir(trace)

    async def recover(self) -> None:
        """End what a killed daemon has left."""
        for name in os.listdir(self._folder):
            if name.startswith(PREFIX):
                await asyncio.to_thread(_end_marked, name.removeprefix(PREFIX))
                os.rmdir(os.path.join(self._folder, name))


async def _run(
    words: Sequence[str], environment: Mapping[str, str], folder: str, patience: float
) -> Finished:
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise NotSupported(f"{words[0]} is not installed on the engine's host") from None
    try:
        async with asyncio.timeout(patience):
            out, err = await process.communicate()
    except TimeoutError:
        raise Unavailable(f"{words[0]} did not end in time") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return Finished(process.returncode or 0, out, err)


def _end_marked(identifier: str) -> None:
    wanted = f"{MARK}={identifier}".encode()
    for _ in range(PASSES):
        found = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid > 1]
        if not any(_end(pid, wanted) for pid in found):
            return


def _end(pid: int, wanted: bytes) -> bool:
    """Kill a process if its environment has the mark; by a descriptor, so no other one."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            if wanted not in file.read().split(b"\0"):
                return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
