"""The shim itself: keeps one container, from its start until everybody knows how it ended.

The order at the end is what the daemon relies on: all output is in the log, then the exit record
is on disk, then the cgroup and this shim's folder are gone, then the daemon is told, and only
then do the attached clients see the end of their streams. Who sees that end and asks, is told of
the exit; who is told of the exit, may start the container anew.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from time import time_ns

import msgspec

from boxship.errors import BoxshipError
from boxship.kernel import processes
from boxship.runtime.errors import StartFailed
from boxship.shim import fdsocket, protocol, record
from boxship.shim.container import Container, Program, rehearse_start
from boxship.shim.control import Connection, Door
from boxship.shim.entering import Entering, Entries, close_clients
from boxship.shim.launching import Launching
from boxship.shim.loop import Loop
from boxship.shim.needs import Host
from boxship.shim.protocol import INIT
from boxship.shim.streams import Streams

SOON = 0.03  # seconds that a program has run when this is worth noting
LINGER = 10.0  # seconds for clients to take what they are owed, when everything else is done
EXEC_OUTPUT = 2.0  # seconds that an exec's output may go on after its own end
KILLED_WITHIN = 2.0  # seconds for a killed exec to end
MOST_EXECS = 1024
_REQUESTS = msgspec.msgpack.Decoder(protocol.Request)


class Refused(BoxshipError):
    """A request that makes no sense now; `kind` is as in protocol.Failed."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Keeper:
    """Serves the daemon's requests for one container and watches its processes."""

    def __init__(self, host: Host, launching: Launching) -> None:
        self._name = ""
        self._folder = ""
        self._host = host
        self._me = record.Process(os.getpid(), processes.start_time(os.getpid()))
        self._loop = Loop(on_error=report)
        self._connections: list[Connection] = []
        self._door: Door | None = None
        self._launching = launching
        self._container: Container | None = None
        self._execs: dict[str, Program] = {}
        self._entries = Entries(self._loop, self._is_busy, self._on_child)
        self._waiting: list[tuple[protocol.Attachment, socket.socket]] = []
        self._is_settled = False
        self._is_over = False
        self._is_finished = False
        self._loop.watch(catch_children(), self._on_child)

    def rehearse(self) -> None:
        """Do once, for nobody, what will be waited for soon: a page written to is faster then."""
        self._launching.rehearse()
        ours, theirs = socket.socketpair()
        loop = Loop(on_error=report)
        connection = Connection(loop, ours, self._on_message, lambda _: None)
        connection.send(self._state())
        theirs.send(protocol.encode(protocol.Signal(number=0, target=INIT, signal=0)))
        loop.turn()
        connection.close()
        theirs.close()
        rehearse_start(loop)

    def run(self, name: str, folder: str, control: socket.socket) -> None:
        """Serve until the container has ended and everybody was told."""
        self._name, self._folder = name, folder
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        record.write_standing(self._folder, record.Standing(self._name, self._me))
        self._door = Door(self._loop, self._folder, self._welcome)
        self._welcome(control)
        while not self._is_finished:
            self._loop.turn()
        for connection in list(self._connections):
            connection.close()

    @property
    def is_as_before(self) -> bool:
        """Whether this process, its container gone, could keep another."""
        return not self._launching.is_whole and not os.path.exists(self._folder)

    # -- the daemon

    def _welcome(self, sock: socket.socket) -> None:
        connection = Connection(self._loop, sock, self._on_message, self._on_gone)
        self._connections.append(connection)
        connection.send(self._state())

    def _state(self) -> protocol.State:
        container = self._container
        return protocol.State(
            container=self._name,
            shim=self._me.pid,
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
        if self._container is None and not self._connections:
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
        if isinstance(request, protocol.Exec):
            self._exec(connection, request, envelope.fds)
            return
        connection.send(self._answer(request, envelope.fds))
        if isinstance(request, protocol.Start):
            self._after_start()

    def _answer(self, request: protocol.Request, fds: list[int]) -> protocol.Answer:
        """Do what was asked; whatever goes wrong is the answer."""
        number = request.number
        try:
            return self._perform(request, fds) or protocol.Done(number=number)
        except Exception as failure:
            return _failed(number, failure)
        finally:
            fdsocket.close_all(fds)

    def _perform(self, request: protocol.Request, fds: list[int]) -> protocol.Done | None:
        """Do what was asked. Descriptors that are kept are taken out of `fds`."""
        match request:
            case protocol.Start():
                return self._start(request, fds)
            case protocol.Attach(target=target, attachment=attachment):
                self._attach(target, attachment, fds)
            case protocol.Resize(target=target, height=height, width=width):
                self._program(target).resize(height, width)
            case protocol.Signal(target=target, signal=number):
                self._program(target).send_signal(number)
            case protocol.Forget(exec=name):
                self._forget(name)
        return None

    # -- the container

    def _start(self, request: protocol.Start, fds: list[int]) -> protocol.Done:
        if self._container:
            raise Refused("conflict", "the container was started already")
        given = dict(zip(request.fds, fds, strict=True))
        container = Container(
            self._name,
            request.request,
            self._host,
            self._loop,
            self._on_detach(INIT),
            self._launching,
        )
        try:
            self._stand(container)
            for attachment, sock in self._waiting:
                container.streams.attach(attachment, sock)
            self._waiting.clear()
            for index, attachment in enumerate(request.request.attachments):
                fd = given[f"attach.{index}"]
                fds.remove(fd)
                container.streams.attach(attachment, socket.socket(fileno=fd))
            container.start(given)
        except BaseException:
            container.abandon()
            raise
        self._container = container
        assert container.init
        record.add_init(self._folder, container.init.identity)
        self._loop.watch(container.init.pidfd, self._on_child)
        self._loop.after_each_turn(container.tidy)
        return protocol.Done(
            number=request.number, pid=container.init.pid, warnings=container.warnings
        )

    def _after_start(self) -> None:
        """Do what nobody waits for."""
        container = self._container
        if container is None:
            self._leave()
        elif not self._is_settled:
            self._is_settled = True
            self._loop.after(SOON, lambda: self._settle_in(container))

    def _settle_in(self, container: Container) -> None:
        if not self._is_over:
            container.watch_memory(self._on_oom)

    def _stand(self, container: Container) -> None:
        standing = record.Standing(
            container=self._name,
            shim=self._me,
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

        def begin() -> Entering:
            try:
                container = self._running()
                if len(clients) != len(asked.attachments):
                    raise Refused("conflict", "each attachment takes one socket")
                streams = Streams(self._loop, None, self._on_detach(asked.id), raw=asked.tty)
                begun, pipes = container.exec(asked, streams)
            except BaseException:
                close_clients(clients)
                raise
            return Entering(begun, pipes, streams, clients, self._loop)

        def tell(made: Program | Exception) -> None:
            if isinstance(made, Exception):
                connection.send(_failed(request.number, made))
                return
            self._execs[asked.id] = made
            self._loop.watch(made.pidfd, self._on_child)
            connection.send(
                protocol.Done(number=request.number, pid=made.pid, warnings=made.warnings)
            )

        known = asked.id in self._execs or asked.id in self._entries
        if known or len(self._execs) + len(self._entries) >= MOST_EXECS:
            close_clients(clients)
            tell(Refused("conflict", f"exec {asked.id} cannot be started again, or as one more"))
        else:
            self._entries.add(asked.id, begin, tell)

    def _is_busy(self) -> bool:
        return self._launching.is_busy

    def _forget(self, name: str) -> None:
        program = self._execs.get(name)
        if program and program.exit_code is not None:
            del self._execs[name]

    def _running(self) -> Container:
        if self._container is None or self._is_over:
            raise self._not_running()
        return self._container

    def _not_running(self) -> Refused:
        return Refused("absent", f"container {self._name} is not running")

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

    def _on_child(self, _events: int = 0) -> None:
        """Take note of every child that has ended, ours and those that orphans left to us."""
        drain_wakeups()
        # One of an exec on its way is not waited for before it is known who it is.
        ends = {} if self._entries.are_going else wait_children()
        init = self._container.init if self._container else None
        if not ends:
            # One that is traced has ended for us, if not for wait(2).
            for program in [init, *self._execs.values()]:
                if program and program.exit_code is None:
                    status = processes.take_end(program.pid, program.pidfd)
                    if status is not None:
                        ends[program.pid] = status
        for pid, status in ends.items():
            if init is None or pid != init.pid:
                self._exec_ended(pid, status)
        if init and init.pid in ends and not self._is_over:
            self._container_ended(ends[init.pid])

    def _exec_ended(self, pid: int, status: int) -> None:
        for name, program in self._execs.items():
            if program.pid != pid or program.exit_code is not None:
                continue
            program.ended(status)
            self._tell(protocol.ExecExited(id=name, code=program.exit_code or 0))
            program.streams.end_with_output()
            if program.streams.has_output:
                self._loop.after(EXEC_OUTPUT, program.streams.end)

    def _container_ended(self, status: int) -> None:
        container = self._container
        assert container
        assert container.init
        self._is_over = True
        self._entries.give_up_all(self._not_running())
        _attempt(container.stop_the_rest)
        self._reap_the_rest()
        container.init.ended(status)
        container.close_journal()
        how = container.exit_record(time_ns())
        _attempt(lambda: record.write_exit(container.request.exit_record, how))
        _attempt(container.delete)
        _attempt(self._close_door)
        self._tell(
            protocol.Exited(
                code=how.exit_code, signal=how.signal, oom=how.oom_killed, time=how.finished_at
            )
        )
        container.streams.end()
        for program in self._execs.values():
            program.streams.end()
        self._loop.after(LINGER, self._finish)
        self._loop.after_each_turn(self._linger)

    def _reap_the_rest(self) -> None:
        """Wait for execs that were killed with the container, so that their ends are told."""
        for program in self._execs.values():
            if program.exit_code is None:
                program.kill()
                processes.has_ended(program.pidfd, KILLED_WITHIN)
                status = processes.take_end(program.pid, program.pidfd)
                self._exec_ended(program.pid, signal.SIGKILL if status is None else status)
        wait_children()

    def _linger(self) -> bool:
        """Stay while somebody is owed something."""
        streams = [program.streams for program in self._execs.values()]
        if self._container:
            streams.append(self._container.streams)
        flushed = all(connection.is_flushed for connection in self._connections)
        if flushed and all(stream.is_drained for stream in streams):
            self._finish()
        return False

    def _leave(self) -> None:
        """Go: nothing was started, and nobody can start it any more."""
        for _, sock in self._waiting:
            sock.close()
        self._close_door()
        self._finish()

    def _close_door(self) -> None:
        if self._door:
            self._door.close()
            self._door = None
            record.remove_folder(self._folder)

    def _finish(self) -> None:
        self._is_finished = True


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


_wakeups = -1


def catch_children() -> int:
    """Return a descriptor that becomes readable when a child has ended."""
    global _wakeups
    if _wakeups >= 0:
        return _wakeups
    _wakeups, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _nothing)
    return _wakeups


def uncatch_children() -> None:
    """Let each copy of this process have a descriptor of its own for that."""
    global _wakeups
    if _wakeups >= 0:
        os.close(signal.set_wakeup_fd(-1))
        os.close(_wakeups)
        _wakeups = -1
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def wait_children() -> dict[int, int]:
    """Wait for all children that have ended; return how, by pid."""
    ends: dict[int, int] = {}
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG | processes.ANY_CHILD))[0]:
            ends[ended[0]] = ended[1]
    return ends


def heed_no_signals() -> None:
    """Take note of signals and do nothing; children of this process do not, either.

    Handlers, not SIG_IGN: a signal that is ignored stays so in the programs that are started.
    """
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGPIPE,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGALRM,
        signal.SIGXFSZ,
    ):
        signal.signal(number, _nothing)


def _nothing(_number: int, _frame: object) -> None:
    pass


def drain_wakeups() -> None:
    try:
        while os.read(_wakeups, 512):
            pass
    except BlockingIOError:
        pass


def report(failure: BaseException) -> None:
    """Say on standard error what should not have happened; the container goes on."""
    sys.excepthook(type(failure), failure, failure.__traceback__)
