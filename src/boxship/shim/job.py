"""What a keeper has its starter do, and how the two say it: one job, one outcome."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from boxship.runtime import api
from boxship.shim import fdsocket, protocol
from boxship.shim.protocol import RuntimeChoice
from boxship.spec.oci import runtime as oci

NO_FILE: Final = -1
OTHER: Final = 128  # exit code of what failed in a way that no program's start does


class Job(msgspec.Struct, omit_defaults=True):
    """What to start: a bundle's container or, where there is a `process`, one more in it.

    `fds` names the descriptors that come along: root, netns, join.<namespace>, tree.<destination>,
    stdin, stdout, stderr, go; init for a process in a container that runs.
    """

    container: str
    bundle: str
    runtime: RuntimeChoice
    console_size: tuple[int, int] | None = None
    init_program: bool = False
    process: bytes | None = None
    init: int = 0  # its pid
    fds: list[str] = []


class Outcome(msgspec.Struct, omit_defaults=True):
    """What it came to; a pid is 0 where it failed. With it comes a pidfd, and a terminal.

    `first` is a process on the way to the program, if there was one, that is to be waited for.
    """

    pid: int = 0
    first: int = 0
    warnings: list[str] = []
    message: str = ""
    exit_code: int = OTHER


_SPEC: Final = msgspec.json.Decoder(oci.Spec)
_PROCESS: Final = msgspec.json.Decoder(oci.Process)
decode_job: Final = msgspec.msgpack.Decoder(Job).decode
decode_outcome: Final = msgspec.msgpack.Decoder(Outcome).decode
_ENCODER: Final = msgspec.msgpack.Encoder()


def perform(runtime: api.Runtime, job: Job, given: Mapping[str, int]) -> api.Init:
    """Start what a job says, in this process."""
    _, spec = read_spec(job.bundle)
    if job.process is not None:
        return runtime.exec(exec_request(job, spec, given))
    return runtime.run(create_request(job, spec, given))


def read_spec(bundle: str) -> tuple[bytes, oci.Spec]:
    """Return a bundle's configuration, as it is said and what it means."""
    with open(f"{bundle}/config.json", "rb", buffering=0) as file:
        said = file.read()
    return said, _SPEC.decode(said)


def create_request(job: Job, spec: oci.Spec, given: Mapping[str, int]) -> api.CreateRequest:
    """Return a job that is a container's first process as its runtime takes it."""
    return api.CreateRequest(
        id=job.container,
        spec=spec,
        bundle=job.bundle,
        root=given.get("root", NO_FILE),
        netns=given.get("netns"),
        stdio=_stdio(given),
        console_size=job.console_size,
        init_program=job.init_program,
        join=_named("join.", given),
        trees=_named("tree.", given),
    )


def _named(prefix: str, given: Mapping[str, int]) -> dict[str, int]:
    return {name.removeprefix(prefix): fd for name, fd in given.items() if name.startswith(prefix)}


def exec_request(job: Job, spec: oci.Spec, given: Mapping[str, int]) -> api.ExecRequest:
    """Return a job that is one more process as its runtime takes it."""
    assert job.process is not None
    return api.ExecRequest(
        id=job.container,
        init=api.Init(job.init, given.get("init", NO_FILE)),
        spec=spec,
        process=_PROCESS.decode(job.process),
        stdio=_stdio(given),
        console_size=job.console_size,
    )


def _stdio(given: Mapping[str, int]) -> api.Stdio:
    return api.Stdio(given.get("stdin"), given.get("stdout"), given.get("stderr"))


def receive(sock: socket.socket) -> protocol.Envelope | None:
    """Wait for one message; None when the other side ends first."""
    inbox = protocol.Inbox()
    while True:
        try:
            data, fds = fdsocket.receive(sock)
        except ConnectionResetError:
            return None
        if not data:
            return None
        for envelope in inbox.feed(data, fds):
            return envelope


def message(said: Job | Outcome, fds: int) -> bytes:
    """Return the bytes of what takes so many descriptors along."""
    body = _ENCODER.encode(said)
    return protocol.HEADER.pack(protocol.VERSION, fds, len(body)) + body


def send(sock: socket.socket, data: bytes, fds: Sequence[int]) -> None:
    """Send all of a message; the other side reads it at once."""
    sent = fdsocket.send(sock, data, fds)
    if sent < len(data):
        sock.sendall(data[sent:])
