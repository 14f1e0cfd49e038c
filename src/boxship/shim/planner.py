"""The planner: one warm process that works out how programs are started, for all keepers.

A keeper asks by a message on a socket that it has from the spawner; a socket of its own comes with
that, on which it says what to start and gets a plan to perform (`runtime.ahead`). The planner ends
when nobody is left who could ask, or is killed: keepers know another way (`starter`).
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Final

import msgspec

from boxship.errors import BoxshipError
from boxship.runtime.ahead import Ahead, Unsuited
from boxship.runtime.api import CreateRequest
from boxship.runtime.errors import StartFailed
from boxship.runtime.prepared import Prepared
from boxship.shim import fdsocket, protocol, starter
from boxship.shim.starter import OTHER, Job
from boxship.spec.oci import runtime as oci

PATIENCE: Final = 2.0  # seconds for a keeper to say what it wants, once it has begun
ASK: Final = b"?"
YOUNG: Final = 20_000  # objects before a collection: a plan makes some thousands, all short-lived
NOBODY: Final = ""  # the container of a rehearsal
SEEN: Final = ("root", "join.pid")
_SAMPLE: Final = (
    b'{"ociVersion":"1.2.0","process":{"args":["/a"],"env":["PATH=/bin","A=b"],"cwd":"/a",'
    b'"user":{"uid":1,"gid":1},"capabilities":{"bounding":["CAP_KILL"]}},"root":{"path":"r"},'
    b'"hostname":"h","mounts":[{"destination":"/proc","type":"proc","options":["nosuid"]},'
    b'{"destination":"/dev","type":"tmpfs","options":["nosuid","mode=755","size=65536k"]},'
    b'{"destination":"/dev/pts","type":"devpts","options":["newinstance","mode=0620"]},'
    b'{"destination":"/sys","type":"sysfs","options":["ro"]},'
    b'{"destination":"/sys/fs/cgroup","type":"cgroup","options":["ro"]}],'
    b'"linux":{"namespaces":[{"type":"pid"},{"type":"mount"},{"type":"cgroup"}],'
    b'"resources":{"memory":{}},"maskedPaths":["/proc/a"],"readonlyPaths":["/proc/b"]}}'
)


class Answer(msgspec.Struct, omit_defaults=True):
    """A plan, or why there is none; neither means that the keeper has to see for itself."""

    plan: Prepared | None = None
    message: str = ""
    exit_code: int = OTHER


_JOB: Final = msgspec.msgpack.Decoder(Job)
_ENCODER: Final = msgspec.msgpack.Encoder()


def serve(asks: socket.socket, ahead: Ahead) -> None:
    """Answer until nobody is left who could ask."""
    rehearse(ahead)
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
    gc.enable()
    while True:
        data, fds = fdsocket.receive(asks)
        if not data:
            return
        for fd in fds:
            with socket.socket(fileno=fd) as keeper:
                keeper.settimeout(PATIENCE)
                try:
                    _answer(keeper, ahead)
                except (OSError, BoxshipError, msgspec.DecodeError) as failure:
                    print(f"planner: {failure!r}", file=sys.stderr)  # the keeper is gone, or odd


def rehearse(ahead: Ahead) -> None:
    """Plan once for nobody: the first who asks shall not wait for caches to be filled."""
    spec = msgspec.json.decode(_SAMPLE, type=oci.Spec)
    ahead.rehearse(CreateRequest(NOBODY, spec, "/", -1))


def _answer(keeper: socket.socket, ahead: Ahead) -> None:
    envelope = starter.receive(keeper)
    if envelope is None:
        return
    with ExitStack() as held:
        for fd in envelope.fds:
            held.callback(os.close, fd)
        job = _JOB.decode(envelope.body)
        fds: list[int] = []
        try:
            answer, fds = _prepare(ahead, job, envelope.fds, held)
        except StartFailed as failure:
            answer = Answer(message=str(failure), exit_code=failure.exit_code)
        except Unsuited:
            answer = Answer()
        except Exception as failure:
            answer = Answer(message=str(failure) or repr(failure))
        body = _ENCODER.encode(answer)
        head = protocol.HEADER.pack(protocol.VERSION, len(fds), len(body))
        starter.send(keeper, head + body, fds)


def looked_at(names: Iterable[str]) -> list[str]:
    """Return the descriptors, by name, that planning looks at; only these are sent."""
    return [name for name in names if name in SEEN or name.startswith("tree.")]


def _prepare(ahead: Ahead, job: Job, fds: list[int], held: ExitStack) -> tuple[Answer, list[int]]:
    """Return a plan with its descriptors, which `held` closes."""
    if job.container == NOBODY:
        return Answer(), []
    said, spec = starter.read_spec(job.bundle)
    if job.process is not None:
        request = starter.exec_request(job, spec, {})
        both = said + job.process
        made = held.enter_context(ahead.further(request, job.fds, job.low, both))
    else:
        given = dict(zip(looked_at(job.fds), fds, strict=True))
        first = starter.create_request(job, spec, given)
        made = held.enter_context(ahead.first(first, job.fds, job.low, said))
    plan, found = made
    return Answer(plan), found
