"""What daemon, spawner and shim say to each other over unix stream sockets.

    0         1       2      4         8
    +---------+-------+------+---------+----------------------+
    | version | fds   | 0  0 | size BE | size bytes, msgpack  |   ... the next message
    +---------+-------+------+---------+----------------------+

`fds` descriptors travel as SCM_RIGHTS with the message's first byte. Every message is an object
with its kind in `is`; members that the receiver does not know are passed over, and those it
misses have defaults, so that a daemon understands the shims of the release before and after it.
A request has a `number`, and exactly one answer (Done or Failed) with the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct as Layout
from typing import Final

import msgspec

from boxship.errors import InvalidRequest

VERSION: Final = 1
HEADER: Final = Layout(">BBxxI")
LARGEST: Final = 16 << 20
MOST_FDS: Final = 64

GO: Final = "go"  # a descriptor: see Start
INIT: Final = "init"  # the target that is the container's first process; others are exec IDs


class Attachment(msgspec.Struct, omit_defaults=True):
    """What a client wants of a process's streams, and how.

    `multiplex` asks for frames, in which a terminal's stream is the first. `detach_keys` matter
    with a terminal only. `pending` is input that was read before the socket was handed over.
    """

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    multiplex: bool = False
    detach_keys: bytes = b"\x10\x11"
    pending: bytes = b""


class RuntimeChoice(msgspec.Struct, omit_defaults=True):
    """Our own runtime, or the command line of another with the folder for its state, and that
    of keepers' folders, where it may have more."""

    name: str = "native"
    path: str | None = None
    args: list[str] = []
    root: str = ""
    folders: str = ""


class LogChoice(msgspec.Struct, omit_defaults=True):
    """Where output is kept: json-file, local or none. Sizes in bytes; 0 is without limit.

    With a `buffer`, the program does not wait for its log: that many bytes wait instead.
    """

    driver: str = "none"
    path: str = ""
    max_size: int = 0
    max_file: int = 1
    compress: bool = False
    buffer: int = 0
    attrs: dict[str, str] = {}


class StartRequest(msgspec.Struct, omit_defaults=True):
    """A container to start. The bundle's config.json says the rest.

    `exit_record` is the file that the shim writes when the container has ended.
    """

    bundle: str
    exit_record: str
    runtime: RuntimeChoice = msgspec.field(default_factory=RuntimeChoice)
    log: LogChoice = msgspec.field(default_factory=LogChoice)
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    console_size: tuple[int, int] | None = None  # height, width
    init_program: bool = False
    attachments: list[Attachment] = []


class ExecRequest(msgspec.Struct, omit_defaults=True):
    """A further process; `process` is the JSON of an OCI process."""

    id: str
    process: bytes
    tty: bool = False
    open_stdin: bool = False
    console_size: tuple[int, int] | None = None
    attachments: list[Attachment] = []


class Message(msgspec.Struct, omit_defaults=True, tag_field="is", kw_only=True):
    """Whatever travels."""


class Spawn(Message, tag="spawn"):
    """To the spawner, with the keeper's end of a control connection: have a container kept.

    One that is to be `alone` has a shim of its own: its runtime may take long, and is waited for.
    """

    number: int
    container: str
    folder: str
    alone: bool = False


class Start(Message, tag="start"):
    """Start the container; `fds` names the descriptors that came along.

    Where `go` is among them the program waits for a byte there, which is not taken: who tries once
    more finds it, too. Its end without a byte says that the program shall not run.
    """

    number: int
    request: StartRequest
    fds: list[str] = []


class Exec(Message, tag="exec"):
    number: int
    request: ExecRequest
    fds: list[str] = []


class Attach(Message, tag="attach"):
    """With the client's socket: it is the shim's from now on."""

    number: int
    target: str
    attachment: Attachment


class Resize(Message, tag="resize"):
    number: int
    target: str
    height: int
    width: int


class Signal(Message, tag="signal"):
    number: int
    target: str
    signal: int


class Forget(Message, tag="forget"):
    """The daemon has taken note of the exec's exit code."""

    number: int
    exec: str


class Done(Message, tag="done"):
    """It is done; `pid` is the new process where there is one, `warnings` what it lacks."""

    number: int
    pid: int = 0
    warnings: list[str] = []


class Failed(Message, tag="failed"):
    """It is not done. `kind` is start, absent (no such process) or conflict."""

    number: int
    kind: str
    message: str
    exit_code: int = 0


class ExecState(msgspec.Struct, omit_defaults=True):
    """An exec that runs, or has ended and not been forgotten; `pid` as the host counts."""

    id: str
    pid: int
    exit_code: int | None = None


class State(Message, tag="state"):
    """Said first on each connection: what is so now. `pid` 0: nothing was started yet."""

    container: str
    shim: int
    pid: int = 0
    execs: list[ExecState] = []
    oom_kills: int = 0
    log_lost: int = 0


class Exited(Message, tag="exited"):
    """The container has ended, and its exit record is written; `time` in ns since 1970."""

    code: int
    signal: int
    oom: bool
    time: int


class ExecExited(Message, tag="exec-exited"):
    id: str
    code: int


class Oom(Message, tag="oom"):
    """The kernel killed for want of memory; `kills` counts from the container's start."""

    kills: int


class Detached(Message, tag="detached"):
    """A client is gone: by its detach keys, or because it went."""

    target: str
    by_keys: bool


Request = Start | Exec | Attach | Resize | Signal | Forget
Event = State | Exited | ExecExited | Oom | Detached
Answer = Done | Failed

_ENCODER: Final = msgspec.msgpack.Encoder()


def encode(message: Message, fds: int = 0) -> bytes:
    """Return the bytes of a message that takes `fds` descriptors along."""
    body = _ENCODER.encode(message)
    if len(body) > LARGEST or fds > MOST_FDS:
        raise InvalidRequest("the request is too large for the container's keeper")
    return HEADER.pack(VERSION, fds, len(body)) + body


class Envelope(msgspec.Struct):
    """A message's bytes with the descriptors that came with it, which the taker owns."""

    body: bytes
    fds: list[int]


class Inbox:
    """Puts messages together from what arrives, however it was cut."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._fds: list[int] = []

    def feed(self, data: bytes, fds: list[int]) -> Iterator[Envelope]:
        """Take the next bytes and descriptors; yield what they complete.

        Bytes that are no message of ours raise InvalidRequest: the connection is of no use then.
        """
        self._pending += data
        self._fds += fds
        while len(self._pending) >= HEADER.size:
            version, count, size = HEADER.unpack_from(self._pending)
            if version != VERSION or size > LARGEST or count > MOST_FDS:
                raise InvalidRequest("the other side does not speak this protocol")
            end = HEADER.size + size
            if len(self._pending) < end:
                return
            if len(self._fds) < count:
                raise InvalidRequest("descriptors of a message are missing")
            body = bytes(self._pending[HEADER.size : end])
            del self._pending[:end]
            taken, self._fds = self._fds[:count], self._fds[count:]
            yield Envelope(body, taken)

    def abandon(self) -> list[int]:
        """Return the descriptors nobody took, to be closed."""
        left, self._fds = self._fds, []
        return left
