"""Descriptors for a new process, numbered above those that its program is to have.

What is held is closed on our side once the process has its own.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Final

from boxship.kernel import namespaces
from boxship.runtime.api import Stdio
from boxship.runtime.errors import StartFailed
from boxship.spec.oci import runtime as oci

LEAST: Final = 10


def copy(descriptor: int, held: ExitStack) -> int:
    """Return a copy of a descriptor that stays its owner's."""
    made = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, LEAST)
    held.callback(os.close, made)
    return made


def high(descriptor: int, held: ExitStack) -> int:
    """Return the descriptor itself if its number is high enough, else a copy."""
    return descriptor if descriptor >= LEAST else copy(descriptor, held)


def own(descriptors: Iterable[int], held: ExitStack) -> list[int]:
    """Take descriptors that nobody else will close."""
    taken = list(descriptors)
    for descriptor in taken:
        held.callback(os.close, descriptor)
    return [high(descriptor, held) for descriptor in taken]


def streams(stdio: Stdio, held: ExitStack) -> Stdio:
    """Return streams none of which lies where another is to be put."""
    given = (stdio.stdin, stdio.stdout, stdio.stderr)
    return Stdio(*(None if stream is None else high(stream, held) for stream in given))


def joined(
    spec: oci.Spec, given: Mapping[str, int], netns: int | None, held: ExitStack
) -> dict[str, int]:
    """Return the namespaces to join: those given, and those that the spec names by path."""
    join = {kind: high(descriptor, held) for kind, descriptor in given.items()}
    if netns is not None:
        join["network"] = high(netns, held)
    for space in spec.linux.namespaces if spec.linux else ():
        if space.path and space.type not in join:
            try:
                descriptor = os.open(space.path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError as failure:
                reason = os.strerror(failure.errno or 0).lower()
                raise StartFailed(f"error opening namespace {space.path}: {reason}") from failure
            (join[space.type],) = own([descriptor], held)
    return {kind: join[kind] for kind in namespaces.FLAGS if kind in join}


def wire(undo: ExitStack, held: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Return both ends of what we and the process talk over: ours, theirs."""
    ours, low = socket.socketpair()
    undo.callback(ours.close)
    with low:
        number = fcntl.fcntl(low.fileno(), fcntl.F_DUPFD_CLOEXEC, LEAST)
    theirs = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=number)
    held.callback(theirs.close)
    return ours, theirs
