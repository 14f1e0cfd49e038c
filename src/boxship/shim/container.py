"""One container as its shim sees it: the programs in it, their streams, and what is left behind."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from select import POLLIN, POLLPRI

import msgspec

from boxship.errors import InvalidRequest, NotFound
from boxship.kernel import processes, terminals
from boxship.runtime import api
from boxship.shim import protocol, record
from boxship.shim.journal import open_journal
from boxship.shim.loop import Loop
from boxship.shim.needs import Host, MemoryEvents
from boxship.shim.streams import Streams
from boxship.spec.oci import runtime as oci

_SPEC = msgspec.json.Decoder(oci.Spec)
_PROCESS = msgspec.json.Decoder(oci.Process)
NO_FILE = -1

OnDetach = Callable[[bool], None]
Clients = list[tuple[protocol.Attachment, socket.socket]]


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
        self, name: str, request: protocol.StartRequest, host: Host, loop: Loop, on_detach: OnDetach
    ) -> None:
        self.name = name
        self.request = request
        self.init: Program | None = None
        self._host = host
        self._loop = loop
        self._spec = _read_spec(request.bundle)
        self._runtime = host.runtime(request.runtime)
        self._journal = open_journal(request.log)
        self._memory: MemoryEvents | None = None
        self._memory_watch: int | None = None
        self._shares_processes = False
        self.streams = Streams(loop, self._journal, on_detach, raw=request.tty)

    @property
    def cgroup(self) -> str:
        """The path of its cgroup, as its bundle names it."""
        return self._spec.linux.cgroups_path if self._spec.linux else ""

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
        return self._memory.oom_kills() if self._memory else 0

    # -- start

    def start(self, given: Mapping[str, int], on_oom: Callable[[int], None]) -> None:
        """Start the container's init; StartFailed when its program cannot run."""
        _remove_file(self.request.exit_record)
        join = {
            name.removeprefix("join."): fd for name, fd in given.items() if name.startswith("join.")
        }
        self._shares_processes = "pid" in join or not _has_own(self._spec, "pid")
        with Pipes(self._spec.process, self._spec, self.request) as pipes:
            init = self._runtime.run(
                api.CreateRequest(
                    id=self.name,
                    spec=self._spec,
                    bundle=self.request.bundle,
                    root=given.get("root", NO_FILE),
                    netns=given.get("netns"),
                    stdio=pipes.stdio,
                    console_size=self.request.console_size,
                    init_program=self.request.init_program,
                    join=join,
                )
            )
            self.init = Program(init, self.streams, self._loop)
            pipes.give(self.streams, init.terminal, once=self.request.stdin_once)
        self._watch_memory(on_oom)

    def _watch_memory(self, on_oom: Callable[[int], None]) -> None:
        self._memory = self._host.memory(self.cgroup) if self.cgroup else None
        if self._memory is None or (fd := self._memory.oom_watch()) is None:
            return
        self._memory_watch = fd
        memory, known = self._memory, 0

        def on_event(_events: int) -> None:
            nonlocal known
            _read_what_there_is(fd)
            if (kills := memory.oom_kills()) > known:
                known = kills
                on_oom(kills)

        self._loop.watch(fd, on_event, POLLIN | POLLPRI)

    def abandon(self) -> None:
        """Take back what a failed start has done."""
        if self.init:
            self.init.kill()
        with suppress(NotFound):  # it may have failed before there was anything
            self._runtime.delete(self.name)
        self.close_journal()
        self.streams.end()

    # -- further programs

    def exec(self, asked: protocol.ExecRequest, clients: Clients, on_detach: OnDetach) -> Program:
        """Run one more program; StartFailed when it cannot run."""
        assert self.init
        process = _PROCESS.decode(asked.process)
        streams = Streams(self._loop, None, on_detach, raw=asked.tty)
        for attachment, sock in clients:
            streams.attach(attachment, sock)
        try:
            with Pipes(process, self._spec, asked) as pipes:
                init = self._runtime.exec(
                    api.ExecRequest(
                        id=self.name,
                        init=api.Init(self.init.pid, self.init.pidfd),
                        spec=self._spec,
                        process=process,
                        stdio=pipes.stdio,
                        console_size=asked.console_size,
                    )
                )
                program = Program(init, streams, self._loop)
                pipes.give(streams, init.terminal, once=True)
        except BaseException:
            streams.end()
            raise
        return program

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
        self._memory = None
        self._runtime.delete(self.name)


def rehearse_start(loop: Loop) -> None:
    """Go once through what a start does before and after its runtime's part."""
    spec = _SPEC.decode(_SAMPLE)
    asked = protocol.StartRequest(bundle="", exit_record="", open_stdin=True)
    streams = Streams(loop, None, lambda _: None, raw=False)
    with Pipes(spec.process, spec, asked) as pipes:
        pipes.give(streams, None, once=True)
    streams.drain()
    streams.end()


_SAMPLE = (
    b'{"ociVersion":"1.2.0","process":{"args":["a"],"env":["A=b"],"cwd":"/","capabilities":{}},'
    b'"root":{"path":"r"},"mounts":[{"destination":"/proc","type":"proc","options":["ro"]}],'
    b'"linux":{"namespaces":[{"type":"pid"}],"resources":{"memory":{}},"maskedPaths":["/m"]}}'
)


class Pipes:
    """The program's standard streams: its ends are closed here, ours go to `Streams`."""

    def __init__(
        self,
        process: oci.Process | None,
        spec: oci.Spec,
        asked: protocol.StartRequest | protocol.ExecRequest,
    ) -> None:
        self._asked = asked
        self._owner = _host_user(process, spec)
        self._theirs = ExitStack()
        self._ours = ExitStack()
        self.stdio = api.Stdio()
        self._ends: tuple[int | None, int, int] = (None, NO_FILE, NO_FILE)

    def __enter__(self) -> Pipes:
        if self._asked.tty:
            return self
        stdin, to_stdin = self._input() if self._asked.open_stdin else (None, None)
        from_stdout, stdout = self._output()
        from_stderr, stderr = self._output()
        self.stdio = api.Stdio(stdin, stdout, stderr)
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

    def __exit__(self, *_: object) -> None:
        self._theirs.close()
        self._ours.close()


def _read_spec(bundle: str) -> oci.Spec:
    with open(f"{bundle}/config.json", "rb", buffering=0) as file:
        return _SPEC.decode(file.read())


def _has_own(spec: oci.Spec, kind: str) -> bool:
    spaces = spec.linux.namespaces if spec.linux else []
    return any(space.type == kind and not space.path for space in spaces)


def _host_user(process: oci.Process | None, spec: oci.Spec) -> int:
    """Return the program's user as the host counts."""
    user = process.user.uid if process else 0
    for mapping in spec.linux.uid_mappings if spec.linux else []:
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
