"""One container as its shim sees it: the programs in it, their streams, and what is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from select import POLLIN, POLLPRI

import msgspec

from boxship.errors import NotFound
from boxship.kernel import processes, terminals
from boxship.runtime import api
from boxship.shim import protocol, record
from boxship.shim.job import Job
from boxship.shim.journal import open_journal
from boxship.shim.loop import Loop
from boxship.shim.needs import Host, MemoryEvents
from boxship.shim.starters import Made, OnMade, StarterKilled, Starters, Ticket
from boxship.shim.streams import Streams
from boxship.spec.oci import runtime as oci

NO_FILE = -1


class Who(msgspec.Struct):
    """As whom a program runs; of a bundle's process, a keeper needs no more."""

    user: oci.User = msgspec.field(default_factory=lambda: oci.User(uid=0, gid=0))


class Place(msgspec.Struct, rename="camel"):
    """Of a bundle's Linux part, what a keeper needs."""

    cgroups_path: str = ""
    namespaces: list[oci.Namespace] = []
    uid_mappings: list[oci.IDMapping] = []


class Sight(msgspec.Struct):
    """A bundle's config.json as a keeper reads it: all of it would take memory for good."""

    process: Who = msgspec.field(default_factory=Who)
    linux: Place = msgspec.field(default_factory=Place)


_SIGHT = msgspec.json.Decoder(Sight)
_WHO = msgspec.json.Decoder(Who)

OnDetach = Callable[[bool], None]


class Program:
    """A process that runs in the container: its init, or an exec."""

    def __init__(self, init: api.Init, streams: Streams) -> None:
        self.pid = init.pid
        self.pidfd = init.pidfd
        self.warnings = list(init.warnings)
        self.streams = streams
        self.exit_code: int | None = None
        self.signal = 0

    @property
    def identity(self) -> record.Process:
        """Its pid with its start time. It is our child and not yet waited for, so it is there."""
        return record.Process(self.pid, processes.start_time(self.pid))

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.exit_code is None:
            processes.send_signal(self.pidfd, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def resize(self, height: int, width: int) -> None:
        """Tell the program how large its terminal is; without one nobody could see it."""
        terminal = self.streams.terminal
        if terminal is None:
            return
        terminals.set_size(terminal, height, width)

    def ended(self, status: int) -> None:
        """Take note of its end, and of all that it wrote before."""
        code = os.waitstatus_to_exitcode(status)
        self.signal = -code if code < 0 else 0
        self.exit_code = 128 - code if code < 0 else code
        os.close(self.pidfd)
        self.streams.drain()


class Container:
    """From the request to start it to its exit record."""

    def __init__(
        self,
        name: str,
        request: protocol.StartRequest,
        host: Host,
        loop: Loop,
        on_detach: OnDetach,
        starters: Starters,
    ) -> None:
        self.name = name
        self.request = request
        self._starters = starters
        self.init: Program | None = None
        self._host = host
        self._loop = loop
        self._sight = _see(request.bundle)
        self._runtime = host.runtime(request.runtime)
        self._memory: MemoryEvents | None = None
        self._memory_watch: int | None = None
        self._shares_processes = False
        self.streams = Streams(loop, open_journal(request.log), on_detach, raw=request.tty)

    @property
    def cgroup(self) -> str:
        """The path of its cgroup, as its bundle names it."""
        return self._sight.linux.cgroups_path

    @property
    def warnings(self) -> list[str]:
        return self.init.warnings if self.init else []

    @property
    def log_lost(self) -> int:
        """How many bytes of the log a full disk did not take."""
        return self.streams.log.lost

    @property
    def oom_kills(self) -> int:
        """How many of its processes the kernel killed for want of memory."""
        if self._memory is None and self.cgroup and self.init:
            self._memory = self._host.memory(self.cgroup)
        return self._memory.oom_kills() if self._memory else 0

    # -- start

    def start(self, given: Mapping[str, int], on_start: Callable[[Exception | None], None]) -> None:
        """Start the container's init, and tell once whether its program runs.

        The descriptors stay the caller's, who keeps them until then.
        """
        _remove_file(self.request.exit_record)
        sight, asked = self._sight, self.request
        self._shares_processes = "join.pid" in given or not _has_own(sight.linux, "pid")
        job = Job(
            self.name,
            asked.bundle,
            asked.runtime,
            console_size=asked.console_size,
            init_program=asked.init_program,
        )
        pipes = Pipes(sight.process, sight.linux, asked)
        pipes.open()

        def made(what: Made, *, again: bool = False) -> None:
            try:
                if isinstance(what, StarterKilled):
                    self._host.sweep(asked.runtime, self.name, self.cgroup)
                    if not again:
                        launch(again=True)
                        return
                if isinstance(what, Exception):
                    raise what
                self._host.adopt(asked.runtime, self.name, self.cgroup, what.pid)
                self.init = Program(what, self.streams)
                pipes.close_theirs()
                pipes.give(self.streams, what.terminal, once=asked.stdin_once)
            except Exception as failure:
                pipes.close_theirs()
                pipes.close()
                on_start(failure)
            else:
                on_start(None)

        def launch(*, again: bool = False) -> None:
            self._host.adopt(asked.runtime, self.name, self.cgroup, 0)
            fds = {**_wanted(given), **pipes.theirs}
            self._starters.start(job, fds, lambda what: made(what, again=again))

        launch()

    def watch_memory(self, on_oom: Callable[[int], None]) -> None:
        """Tell of each time that memory runs out."""
        self._memory = self._host.memory(self.cgroup) if self.cgroup else None
        if self._memory is None or (fd := self._memory.oom_watch()) is None:
            return
        self._memory_watch = fd
        memory, known = self._memory, 0

        def on_event(_events: int) -> None:
            _read_what_there_is(fd)
            tell()

        def tell() -> None:
            nonlocal known
            if (kills := memory.oom_kills()) > known:
                known = kills
                on_oom(kills)

        self._loop.watch(fd, on_event, POLLIN | POLLPRI)
        tell()  # of what was before it was watched

    def abandon(self) -> None:
        """Take back what a failed start has done."""
        if self.init:
            self.init.kill()
            os.close(self.init.pidfd)
        with suppress(NotFound):  # it may have failed before there was anything
            self._runtime.delete(self.name)
        self.close_journal()
        self.streams.end()

    # -- further programs

    def exec(
        self, asked: protocol.ExecRequest, on_made: OnMade
    ) -> tuple[Pipes, Callable[[], Ticket]]:
        """Return the streams of one more program, and what begins to start it."""
        assert self.init
        init = self.init
        pipes = Pipes(_WHO.decode(asked.process), self._sight.linux, asked)
        pipes.open()

        def begin() -> Ticket:
            job = Job(
                self.name,
                self.request.bundle,
                self.request.runtime,
                console_size=asked.console_size,
                process=asked.process,
                init=init.pid,
            )
            try:
                return self._starters.start(job, {**pipes.theirs, "init": init.pidfd}, on_made)
            finally:
                pipes.close_theirs()

        return pipes, begin

    # -- end

    def stop_the_rest(self) -> None:
        """Kill what its init left running where it has no process namespace of its own."""
        if self._shares_processes:
            self._runtime.kill_all(self.name)

    def close_journal(self) -> None:
        """Write the last of the log. `lost` stays known."""
        self.streams.log.finish()

    def tidy(self) -> bool:
        """Do a little of what can wait; False when there is nothing left of it."""
        return self.streams.log.tidy()

    def exit_record(self, now: int) -> record.ExitRecord:
        """Return how it ended."""
        assert self.init
        assert self.init.exit_code is not None
        return record.ExitRecord(
            exit_code=self.init.exit_code,
            signal=self.init.signal,
            oom_killed=self.oom_kills > 0,
            finished_at=now,
            pid=self.init.pid,
        )

    def delete(self, within: float) -> bool:
        """Remove the cgroup and what the runtime keeps; False when processes do not end."""
        if self._memory_watch is not None:
            self._loop.forget(self._memory_watch)
            os.close(self._memory_watch)
            self._memory_watch = None
        return self._host.delete(self.request.runtime, self.name, within)


class Pipes:
    """The program's standard streams: its ends are closed here, ours go to `Streams`."""

    def __init__(
        self,
        process: Who,
        place: Place,
        asked: protocol.StartRequest | protocol.ExecRequest,
    ) -> None:
        self._asked = asked
        self._owner = _host_user(process.user.uid, place)
        self._theirs = ExitStack()
        self._ours = ExitStack()
        self.theirs: dict[str, int] = {}
        self._ends: tuple[int | None, int, int] = (None, NO_FILE, NO_FILE)

    def open(self) -> None:
        """Make them; a terminal is the runtime's to make."""
        if self._asked.tty:
            return
        try:
            self._open()
        except BaseException:
            self.close_theirs()
            self.close()
            raise

    def _open(self) -> None:
        stdin, to_stdin = self._input() if self._asked.open_stdin else (None, None)
        from_stdout, stdout = self._output()
        from_stderr, stderr = self._output()
        self.theirs = {"stdout": stdout, "stderr": stderr}
        if stdin is not None:
            self.theirs["stdin"] = stdin
        self._ends = (to_stdin, from_stdout, from_stderr)

    def _input(self) -> tuple[int, int]:
        return self._pipe(*os.pipe2(os.O_CLOEXEC))

    def _output(self) -> tuple[int, int]:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        self._pipe(theirs, ours)
        return ours, theirs

    def _pipe(self, theirs: int, ours: int) -> tuple[int, int]:
        """Take both ends; a program that opens /dev/stdout must own the pipe."""
        self._theirs.callback(os.close, theirs)
        self._ours.callback(os.close, ours)
        if self._owner:
            os.fchown(theirs, self._owner, -1)
        return theirs, ours

    def give(self, streams: Streams, terminal: int | None, *, once: bool) -> None:
        """Hand our ends over; from here on they are `streams`' to close."""
        self._ours.pop_all()
        if self._asked.tty:
            assert terminal is not None
            streams.use_terminal(terminal, takes_input=self._asked.open_stdin)
        else:
            streams.use_pipes(*self._ends, once=once)

    def close(self) -> None:
        """Close our ends, unless they were given."""
        self._ours.close()

    def close_theirs(self) -> None:
        """Close the program's ends here; it has copies of its own."""
        self._theirs.close()


def _see(bundle: str) -> Sight:
    with open(f"{bundle}/config.json", "rb", buffering=0) as file:
        return _SIGHT.decode(file.read())


def _wanted(given: Mapping[str, int]) -> dict[str, int]:
    """Return what is the runtime's of the descriptors that came with a request."""
    return {name: fd for name, fd in given.items() if not name.startswith("attach.")}


def _has_own(place: Place, kind: str) -> bool:
    return any(space.type == kind and not space.path for space in place.namespaces)


def _host_user(user: int, place: Place) -> int:
    """Return a user of the container as the host counts."""
    for mapping in place.uid_mappings:
        if 0 <= user - mapping.container_id < mapping.size:
            return mapping.host_id + user - mapping.container_id
    return user


def _read_what_there_is(fd: int) -> None:
    try:
        os.read(fd, 4096)
    except OSError:
        pass


def _remove_file(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
