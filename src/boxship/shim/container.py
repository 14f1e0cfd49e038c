"""One container as its shim sees it: the programs in it, their streams, and what is left behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from select import POLLIN, POLLPRI

import msgspec

from boxship.errors import InvalidRequest, NotFound
from boxship.kernel import processes, terminals
from boxship.runtime import api
from boxship.shim import protocol, record
from boxship.shim.journal import open_journal
from boxship.shim.launching import Beginning, Launching
from boxship.shim.loop import Loop
from boxship.shim.needs import Host, MemoryEvents
from boxship.shim.starter import Job, StarterKilled
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

    def __init__(self, init: api.Init, streams: Streams, loop: Loop) -> None:
        self._loop = loop
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
        """Tell the program how large its terminal is."""
        terminal = self.streams.terminal
        if terminal is None:
            raise InvalidRequest("the process has no terminal to resize")
        terminals.set_size(terminal, height, width)

    def ended(self, status: int) -> None:
        """Take note of its end, and of all that it wrote before."""
        code = os.waitstatus_to_exitcode(status)
        self.signal = -code if code < 0 else 0
        self.exit_code = 128 - code if code < 0 else code
        self._loop.forget(self.pidfd)
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
        launching: Launching,
    ) -> None:
        self.name = name
        self.request = request
        self._launching = launching
        self.init: Program | None = None
        self._host = host
        self._loop = loop
        self._sight = _see(request.bundle)
        self._runtime = host.runtime(request.runtime)
        self._journal = open_journal(request.log)
        self._memory: MemoryEvents | None = None
        self._memory_watch: int | None = None
        self._shares_processes = False
        self.streams = Streams(loop, self._journal, on_detach, raw=request.tty)

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
        return self._journal.lost if self._journal else 0

    @property
    def oom_kills(self) -> int:
        """How many of its processes the kernel killed for want of memory."""
        if self._memory is None and self.cgroup and self.init:
            self._memory = self._host.memory(self.cgroup)
        return self._memory.oom_kills() if self._memory else 0

    # -- start

    def start(self, given: Mapping[str, int]) -> None:
        """Start the container's init; StartFailed when its program cannot run."""
        _remove_file(self.request.exit_record)
        sight, asked = self._sight, self.request
        self._shares_processes = "join.pid" in given or not _has_own(sight.linux, "pid")
        with Pipes(sight.process, sight.linux, asked) as pipes:
            job = Job(
                self.name,
                asked.bundle,
                asked.runtime,
                console_size=asked.console_size,
                init_program=asked.init_program,
            )
            init = self._launch(job, {**_wanted(given), **pipes.theirs})
            self.init = Program(init, self.streams, self._loop)
            pipes.give(self.streams, init.terminal, once=asked.stdin_once)

    def _launch(self, job: Job, given: Mapping[str, int]) -> api.Init:
        try:
            return self._launching.run(job, given, self.cgroup)
        except StarterKilled:
            if self.init is None:
                self._host.sweep(job.runtime, self.name, self.cgroup)
            raise

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
        with suppress(NotFound):  # it may have failed before there was anything
            self._runtime.delete(self.name)
        self.close_journal()
        self.streams.end()

    # -- further programs

    def exec(self, asked: protocol.ExecRequest, streams: Streams) -> tuple[Beginning, Pipes]:
        """Begin to run one more program; StartFailed when it cannot run. Nothing is waited for."""
        assert self.init
        with Pipes(_WHO.decode(asked.process), self._sight.linux, asked) as pipes:
            job = Job(
                self.name,
                self.request.bundle,
                self.request.runtime,
                console_size=asked.console_size,
                process=asked.process,
                init=self.init.pid,
            )
            begun = self._launching.begin(job, {**pipes.theirs, "init": self.init.pidfd})
            return begun, pipes.let_go()

    # -- end

    def stop_the_rest(self) -> None:
        """Kill what its init left running where it has no process namespace of its own."""
        if self._shares_processes:
            self._runtime.kill_all(self.name)

    def close_journal(self) -> None:
        """Write the last of the log. `lost` stays known."""
        if self._journal and not self._journal.is_finished:
            self._journal.finish()

    def tidy(self) -> bool:
        """Do a little of what can wait; False when there is nothing left of it."""
        return self._journal.tidy() if self._journal else False

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

    def delete(self) -> None:
        """Remove the cgroup and what the runtime keeps."""
        if self._memory_watch is not None:
            self._loop.forget(self._memory_watch)
            os.close(self._memory_watch)
            self._memory_watch = None
        self._runtime.delete(self.name)


def rehearse_start(loop: Loop) -> None:
    """Go once through what a start does before and after its runtime's part."""
    sight = _SIGHT.decode(_SAMPLE)
    asked = protocol.StartRequest(bundle="", exit_record="", open_stdin=True)
    streams = Streams(loop, None, lambda _: None, raw=False)
    with Pipes(sight.process, sight.linux, asked) as pipes:
        pipes.give(streams, None, once=True)
    streams.drain()
    streams.end()


_SAMPLE = b'{"process":{"args":["a"]},"linux":{"namespaces":[{"type":"pid"}],"cgroupsPath":"/c"}}'


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
        self._stays = False
        self.theirs: dict[str, int] = {}
        self._ends: tuple[int | None, int, int] = (None, NO_FILE, NO_FILE)

    def __enter__(self) -> Pipes:
        if self._asked.tty:
            return self
        stdin, to_stdin = self._input() if self._asked.open_stdin else (None, None)
        from_stdout, stdout = self._output()
        from_stderr, stderr = self._output()
        self.theirs = {"stdout": stdout, "stderr": stderr}
        if stdin is not None:
            self.theirs["stdin"] = stdin
        self._ends = (to_stdin, from_stdout, from_stderr)
        return self

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

    def let_go(self) -> Pipes:
        """Keep our ends when the block ends, until they are given, or closed."""
        self._stays = True
        return self

    def close(self) -> None:
        """Close our ends, unless they were given."""
        self._ours.close()

    def __exit__(self, *_: object) -> None:
        self._theirs.close()
        if not self._stays:
            self.close()


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
