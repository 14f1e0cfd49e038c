"""The keeper of one container, from its start until everybody knows how it ended.

A shim is a process that has many of these, and one loop for all.

The order at the end is what the daemon relies on: all output is in the log, then the exit record
is on disk, then the cgroup and this shim's folder are gone, then the daemon is told, and only
then do the attached clients see the end of their streams. Who sees that end and asks, is told of
the exit; who is told of the exit, may start the container anew.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic, time_ns

import msgspec

from boxship.errors import BoxshipError
from boxship.runtime.errors import StartFailed
from boxship.shim import fdsocket, protocol, record
from boxship.shim.children import Children
from boxship.shim.container import Container, Program
from boxship.shim.control import Connection, Door
from boxship.shim.entering import Entering, Entries, close_clients
from boxship.shim.loop import Loop, Moment
from boxship.shim.needs import Host
from boxship.shim.protocol import INIT
from boxship.shim.starters import OnMade, Starters
from boxship.shim.streams import Streams

SOON = 0.03  # seconds that a program has run when this is worth noting
LINGER = 10.0  # seconds for clients to take what they are owed, when everything else is done
EXEC_OUTPUT = 2.0  # seconds that an exec's output may go on after its own end
KILLED_WITHIN = 2.0  # seconds for a killed exec to end
AT_ONCE = 0.02  # seconds that all wait for a cgroup to empty
AGAIN = 0.1
EMPTY_WITHIN = 5.0  # seconds that its own container waits
MOST_EXECS = 1024
_REQUESTS = msgspec.msgpack.Decoder(protocol.Request)


class Refused(BoxshipError):
    """A request that makes no sense now; `kind` is as in protocol.Failed."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Shared:
    """What all keepers of a process have in common; `me` is that process."""

    host: Host
    loop: Loop
    children: Children
    starters: Starters
    me: record.Process


class Keeper:
    """Serves the daemon's requests for one container and watches its processes."""

    def __init__(
        self, name: str, folder: str, shared: Shared, on_finish: Callable[[Keeper], None]
    ) -> None:
        """`on_finish` is called when the container has ended and everybody was told."""
        self.name = name
        self._folder = folder
        self._shared = shared
        self._loop = shared.loop
        self._on_finish = on_finish
        self._connections: list[Connection] = []
        self._door: Door | None = None
        self._is_starting = False
        self._container: Container | None = None
        self._execs: dict[str, Program] = {}
        self._entries = Entries(shared.starters)
        self._waiting: list[tuple[protocol.Attachment, socket.socket]] = []
        self._guests: list[socket.socket] = []  # who came during the start
        self._moments: list[Moment] = []
        self._is_over = False
        self._is_finished = False

    def begin(self, control: socket.socket) -> None:
        """Have a folder with a door, and the first who comes through it."""
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            self._door = Door(self._loop, self._folder, self._welcome)
        except BaseException:
            control.close()
            self._leave()
            raise
        self._welcome(control)

    # -- the daemon

    def _welcome(self, sock: socket.socket) -> None:
        if self._is_starting:
            # What is so now will not be so in a moment: it is told what came of the start.
            self._guests.append(sock)
            return
        connection = Connection(self._loop, sock, self._on_message, self._on_gone)
        self._connections.append(connection)
        connection.send(self._state())

    def _state(self) -> protocol.State:
        container = self._container
        return protocol.State(
            container=self.name,
            shim=self._shared.me.pid,
            pid=container.init.pid if container and container.init else 0,
            execs=[
                protocol.ExecState(name, program.pid, program.exit_code)
                for name, program in self._execs.items()
            ],
            oom_kills=container.oom_kills if container else 0,
            log_lost=container.log_lost if container else 0,
        )

    def _on_gone(self, connection: Connection) -> None:
        self._connections.remove(connection)
        if self._container is None and not self._connections and not self._is_starting:
            # Nobody is left who could ask for a start, and nothing was started.
            self._leave()

    def _tell(self, event: protocol.Message) -> None:
        for connection in list(self._connections):
            connection.send(event)

    def _on_message(self, connection: Connection, envelope: protocol.Envelope) -> None:
        try:
            request = _REQUESTS.decode(envelope.body)
        except msgspec.DecodeError as failure:
            fdsocket.close_all(envelope.fds)
            connection.send(_not_understood(envelope.body, failure))
            return
        match request:
            case protocol.Exec():
                self._exec(connection, request, envelope.fds)
            case protocol.Start():
                self._start(connection, request, envelope.fds)
            case _:
                connection.send(self._answer(request, envelope.fds))

    def _answer(self, request: protocol.Request, fds: list[int]) -> protocol.Answer:
        """Do what was asked; whatever goes wrong is the answer."""
        number = request.number
        try:
            self._perform(request, fds)
            return protocol.Done(number=number)
        except Exception as failure:
            return _failed(number, failure)
        finally:
            fdsocket.close_all(fds)

    def _perform(self, request: protocol.Request, fds: list[int]) -> None:
        """Do what was asked. Descriptors that are kept are taken out of `fds`."""
        match request:
            case protocol.Attach(target=target, attachment=attachment):
                self._attach(target, attachment, fds)
            case protocol.Resize(target=target, height=height, width=width):
                self._program(target).resize(height, width)
            case protocol.Signal(target=target, signal=number):
                self._program(target).send_signal(number)
            case protocol.Forget(exec=name):
                self._forget(name)

    # -- the container

    def _start(self, connection: Connection, request: protocol.Start, fds: list[int]) -> None:
        """Begin to start the container; the answer comes when it runs, or never will."""

        def tell(failure: Exception | None) -> None:
            fdsocket.close_all(fds)
            if failure:
                connection.send(_failed(request.number, failure))
                return
            container = self._container
            assert container
            assert container.init
            connection.send(
                protocol.Done(
                    number=request.number, pid=container.init.pid, warnings=container.warnings
                )
            )

        if self._container or self._is_starting:
            tell(Refused("conflict", "the container was started already"))
            return
        try:
            container = Container(
                self.name,
                request.request,
                self._shared.host,
                self._loop,
                self._on_detach(INIT),
                self._shared.starters,
            )
        except Exception as failure:
            tell(failure)
            self._leave()
            return
        self._is_starting = True

        def started(failure: Exception | None) -> None:
            self._is_starting = False
            if failure is None:
                try:
                    self._has_started(container)
                except Exception as mishap:
                    failure = mishap
            if failure is not None:
                container.abandon()
            tell(failure)
            if failure is not None:
                self._leave()
                return
            guests, self._guests = self._guests, []
            for guest in guests:
                self._welcome(guest)

        try:
            given = dict(zip(request.fds, fds, strict=True))
            self._stand(container)
            for attachment, sock in self._waiting:
                container.streams.attach(attachment, sock)
            self._waiting.clear()
            for index, attachment in enumerate(request.request.attachments):
                fd = given[f"attach.{index}"]
                fds.remove(fd)
                container.streams.attach(attachment, socket.socket(fileno=fd))
            container.start(given, started)
        except Exception as failure:
            if self._is_starting:
                started(failure)
            else:
                raise

    def _has_started(self, container: Container) -> None:
        init = container.init
        assert init
        record.add_init(self._folder, init.identity)
        for attachment, sock in self._waiting:  # who came meanwhile
            container.streams.attach(attachment, sock)
        self._waiting.clear()
        self._container = container
        self._shared.children.add(init.pid, init.pidfd, self._container_ended)
        self._loop.after_each_turn(container.tidy)
        self._moments.append(self._loop.after(SOON, lambda: self._settle_in(container)))

    def _settle_in(self, container: Container) -> None:
        if not self._is_over:
            container.watch_memory(self._on_oom)

    def _stand(self, container: Container) -> None:
        standing = record.Standing(
            container=self.name,
            shim=self._shared.me,
            exit_record=container.request.exit_record,
            cgroup=container.cgroup,
            runtime=container.request.runtime,
        )
        record.write_standing(self._folder, standing)

    def _on_oom(self, kills: int) -> None:
        self._tell(protocol.Oom(kills=kills))

    def _on_detach(self, target: str) -> Callable[[bool], None]:
        return lambda by_keys: self._tell(protocol.Detached(target=target, by_keys=by_keys))

    # -- further processes

    def _exec(self, connection: Connection, request: protocol.Exec, fds: list[int]) -> None:
        """Begin to run one more program; the answer comes when it runs, or never will."""
        asked = request.request
        clients = [
            (attachment, socket.socket(fileno=fd))
            for attachment, fd in zip(asked.attachments, fds, strict=False)
        ]
        fdsocket.close_all(fds[len(clients) :])

        streams = Streams(self._loop, None, self._on_detach(asked.id), raw=asked.tty)

        def begin(entering: Entering, on_made: OnMade) -> None:
            container = self._running()
            if len(clients) != len(asked.attachments):
                raise Refused("conflict", "each attachment takes one socket")
            entering.pipes, start = container.exec(asked, on_made)
            entering.ticket = start()

        def tell(made: Program | Exception) -> None:
            if isinstance(made, Exception):
                connection.send(_failed(request.number, made))
                return
            self._execs[asked.id] = made
            self._shared.children.add(
                made.pid, made.pidfd, lambda status: self._exec_ended(asked.id, status)
            )
            connection.send(
                protocol.Done(number=request.number, pid=made.pid, warnings=made.warnings)
            )

        known = asked.id in self._execs or asked.id in self._entries
        if known or len(self._execs) + len(self._entries) >= MOST_EXECS:
            close_clients(clients)
            tell(Refused("conflict", f"exec {asked.id} cannot be started again, or as one more"))
        else:
            self._entries.add(asked.id, Entering(streams, clients), begin, tell)

    def _forget(self, name: str) -> None:
        program = self._execs.get(name)
        if program and program.exit_code is not None:
            del self._execs[name]

    def _running(self) -> Container:
        if self._container is None or self._is_over:
            raise self._not_running()
        return self._container

    def _not_running(self) -> Refused:
        return Refused("absent", f"container {self.name} is not running")

    def _program(self, target: str) -> Program:
        container = self._running()
        program = container.init if target == INIT else self._execs.get(target)
        if program is None or program.exit_code is not None:
            raise Refused("absent", f"no process {target} is running")
        return program

    def _attach(self, target: str, attachment: protocol.Attachment, fds: list[int]) -> None:
        if len(fds) != 1:
            raise Refused("conflict", "to attach takes one socket")
        if self._container is None and target == INIT:
            self._waiting.append((attachment, socket.socket(fileno=fds.pop())))
            return
        streams = self._program(target).streams
        streams.attach(attachment, socket.socket(fileno=fds.pop()))

    # -- what ends

    def _exec_ended(self, name: str, status: int) -> None:
        program = self._execs[name]
        program.ended(status)
        self._tell(protocol.ExecExited(id=name, code=program.exit_code or 0))
        program.streams.end_with_output()
        if program.streams.has_output:
            self._moments.append(self._loop.after(EXEC_OUTPUT, program.streams.end))

    def _container_ended(self, status: int) -> None:
        container = self._container
        assert container
        assert container.init
        self._is_over = True
        self._entries.give_up_all(self._not_running())
        _attempt(container.stop_the_rest)
        for program in self._execs.values():  # killed with the container, if not told of yet
            self._shared.children.kill(program.pid, KILLED_WITHIN)
        container.init.ended(status)
        container.close_journal()
        how = container.exit_record(time_ns())
        where = container.request.exit_record
        _attempt(lambda: self._loop.aside(lambda: record.write_exit(where, how)))
        self._clear(container, how, monotonic() + EMPTY_WITHIN)

    def _clear(self, container: Container, how: record.ExitRecord, until: float) -> None:
        """Remove what is left, in two tries where one fails, then tell.

        A process that takes long to die holds up nobody else.
        """
        is_gone = False
        try:
            is_gone = container.delete(AT_ONCE)
        except Exception as failure:
            report(failure)
            until = min(until, monotonic() + AGAIN / 2)  # by then it has failed twice
        if not is_gone and monotonic() < until:
            self._moments.append(
                self._loop.after(AGAIN, lambda: self._clear(container, how, until))
            )
            return
        _attempt(self._close_door)
        self._tell(
            protocol.Exited(
                code=how.exit_code, signal=how.signal, oom=how.oom_killed, time=how.finished_at
            )
        )
        container.streams.end()
        for program in self._execs.values():
            program.streams.end()
        self._moments.append(self._loop.after(LINGER, self._finish))
        self._loop.forget_chore(container.tidy)
        self._loop.after_each_turn(self._linger)

    def _linger(self) -> bool:
        """Stay while somebody is owed something."""
        flushed = all(connection.is_flushed for connection in self._connections)
        if flushed and all(stream.is_drained for stream in self._streams()):
            self._finish()
        return False

    def _streams(self) -> list[Streams]:
        streams = [program.streams for program in self._execs.values()]
        return [*streams, self._container.streams] if self._container else streams

    def _leave(self) -> None:
        """Go: nothing was started, and nobody can start it any more."""
        for sock in (*self._guests, *(waiting[1] for waiting in self._waiting)):
            sock.close()
        self._guests.clear()
        self._waiting.clear()
        self._close_door()
        self._finish()

    def _close_door(self) -> None:
        if self._door:
            self._door.close()
            self._door = None
        record.remove_folder(self._folder)

    def _finish(self) -> None:
        """Let go of everything; who is still owed something has not taken it in time."""
        if self._is_finished:
            return
        self._is_finished = True
        self._loop.forget_chore(self._linger)
        for moment in self._moments:
            self._loop.cancel(moment)
        for streams in self._streams():
            streams.drop_all()
        for connection in list(self._connections):
            connection.close()
        self._on_finish(self)


def _not_understood(body: bytes, why: msgspec.DecodeError) -> protocol.Failed:
    """Answer a request of a newer daemon, or of a broken one."""
    try:
        number = msgspec.msgpack.decode(body, type=_Numbered).number
    except msgspec.DecodeError:
        number = 0
    return protocol.Failed(number=number, kind="conflict", message=str(why))


def _failed(number: int, failure: Exception) -> protocol.Failed:
    """Answer what could not be done."""
    match failure:
        case StartFailed():
            kind, code = "start", failure.exit_code
        case Refused():
            return protocol.Failed(number=number, kind=failure.kind, message=str(failure))
        case _:
            report(failure)
            kind, code = "start", 128
    return protocol.Failed(number=number, kind=kind, message=str(failure), exit_code=code)


class _Numbered(msgspec.Struct):
    number: int = 0


def _attempt(step: Callable[[], None]) -> None:
    """Take a step of the end. None may keep the others from being taken, or the daemon waiting:
    without room for the record, the event alone tells; a cgroup that stays is swept later.
    """
    try:
        step()
    except Exception as failure:
        report(failure)


def report(failure: BaseException) -> None:
    """Say on standard error what should not have happened; the container goes on."""
    sys.excepthook(type(failure), failure, failure.__traceback__)
