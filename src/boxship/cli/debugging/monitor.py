"""The monitor of builds that are debugged: programs in a container, one at a time in front.

A container lasts as long as its first program, and what is written into it as long as that. What a
program in the back writes is kept, the last of it, until it comes to the front. Where commands come
from a pipe, it is the monitor's own: programs that they start read nothing of it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.debugging.console import Console, Escapes, Key
from boxship.cli.debugging.invoke import Invoke, words
from boxship.cli.debugging.places import Place
from boxship.cli.output import write_all
from boxship.cli.terminal import RawMode, size
from boxship.client.bridges import STDERR, Bridge, Process
from boxship.errors import BoxshipError, InvalidRequest, NotFound
from boxship.lib.words import visible
from boxship.spec.buildkit import gateway_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

PROMPT: Final = "(boxship) "
KEPT: Final = 64 << 10  # bytes of what a program in the back has written
KEYS: Final = "Ctrl-a c: the monitor, Ctrl-a x: exit, Ctrl-a h: this"


class End(Enum):
    """How a monitor ends."""

    EXIT = "exit"
    RELOAD = "reload"


class Program:
    """A process and what it has written while it was in the back; `stdin`: it is fed."""

    def __init__(self, name: str, command: str, *, tty: bool, stdin: bool) -> None:
        self.name = name
        self.command = command
        self.process: Process | None = None
        self.tty = tty
        self.stdin = stdin
        self._front = False
        self._waiting = b""

    def hear(self, fd: int, data: bytes) -> None:
        if self._front:
            write_all(2 if fd == STDERR and not self.tty else 1, data)
        else:
            self._waiting = (self._waiting + data)[-KEPT:]

    def to_front(self) -> None:
        self._front = True
        write_all(1, self._waiting)
        self._waiting = b""

    def to_back(self) -> None:
        self._front = False


class Monitor:
    """What is asked of a build that has stopped, until somebody leaves."""

    def __init__(
        self, shell: Shell, console: Console, bridge: Bridge, place: Place, ref: str
    ) -> None:
        self._shell = shell
        self._console = console
        self._bridge = bridge
        self._place: Place | None = place
        self._ref = ref
        self._first = Invoke()
        self._piped = False
        self._initial = False
        self._container = ""
        self._holder: Process | None = None  # the first of the container, which lasts as long
        self._programs: dict[str, Program] = {}
        self._number = 0
        self._commands: dict[str, tuple[str, Callable[[list[str]], Awaitable[End | None]]]] = {
            "attach": ("attach to a process: attach PID", self._attach),
            "disconnect": ("end the session with all of its processes", self._disconnect),
            "exec": ("run a program in the container: exec [COMMAND [ARG...]]", self._exec),
            "exit": ("leave the monitor", self._exit),
            "help": ("show this", self._help),
            "kill": ("refused: no build server is run besides the engine", self._kill),
            "list": ("list sessions", self._list),
            "ps": ("list processes", self._ps),
            "reload": ("read the context again and build it", self._reload),
            "rollback": (
                "begin anew with what the step has left: rollback [--init] [COMMAND [ARG...]]; "
                "with --init, with what it began with",
                self._rollback,
            ),
        }

    async def run(self, first: Invoke) -> End:
        """Run what is asked for first, and then commands."""
        self._first = first
        end = None if first.idle else await self._try(partial(self._launch, first))
        self._piped = not self._console.is_terminal
        while end is None:
            if self._console.is_terminal:
                self._shell.out.write(PROMPT)
            self._shell.out.flush()
            line = await self._console.line()
            if line is None:
                break
            end = await self._try(partial(self._do, line))
        for program in self._programs.values():
            if program.process is not None:
                program.process.kill()
        return end or End.EXIT

    async def _try(self, work: Callable[[], Awaitable[End | None]]) -> End | None:
        """Do what may fail without ending the monitor."""
        try:
            return await work()
        except BoxshipError as error:
            self._shell.say(f"ERROR: {error}")
            return None

    async def _do(self, line: str) -> End | None:
        said = words(line)
        if not said:
            return None
        if said[0] not in self._commands:
            raise InvalidRequest(f"unknown command: {visible(said[0])!r}; `help` lists them")
        return await self._commands[said[0]][1](said[1:])

    # Commands

    async def _exec(self, said: list[str]) -> End | None:
        return await self._launch(replace(self._first, command=tuple(said)))

    async def _attach(self, said: list[str]) -> End | None:
        if len(said) != 1:
            raise InvalidRequest("attach needs the PID of a process; `ps` lists them")
        if said[0] not in self._programs:
            raise NotFound(f"no process {said[0]!r}")
        return await self._attached(self._programs[said[0]])

    async def _ps(self, said: list[str]) -> End | None:
        self._shell.out.line(f"{'PID':<8}COMMAND")
        for program in self._programs.values():
            ended = program.process is None or program.process.ended.done()
            about = visible(program.command) + (" (ended)" if ended else "")
            self._shell.out.line(f"{program.name:<8}{about}")
        return None

    async def _list(self, said: list[str]) -> End | None:
        self._shell.out.line(f"{'ID':<32}CURRENT_SESSION")
        if self._place is not None:
            self._shell.out.line(f"{self._ref:<32}true")
        return None

    async def _disconnect(self, said: list[str]) -> End | None:
        if said not in ([], [self._ref]):
            raise NotFound(f"no session {said[0]!r}")
        await self._release()
        self._place = None
        return None

    async def _rollback(self, said: list[str]) -> End | None:
        self._initial = said[:1] == ["--init"]
        await self._release()
        command = tuple(said[self._initial :])
        return await self._launch(replace(self._first, command=command or self._first.command))

    async def _reload(self, said: list[str]) -> End | None:
        return End.RELOAD

    async def _exit(self, said: list[str]) -> End | None:
        return End.EXIT

    async def _kill(self, said: list[str]) -> End | None:
        raise InvalidRequest("there is no build server to be killed: the engine has the build")

    async def _help(self, said: list[str]) -> End | None:
        self._shell.out.line("Available commands are:")
        for name, (about, _) in self._commands.items():
            self._shell.out.line(f"  {name:<12}{about}")
        self._shell.out.line(KEYS)
        return None

    # Programs

    async def _launch(self, invoke: Invoke) -> End | None:
        """Start a program and put it in front."""
        if self._place is None:
            raise InvalidRequest("there is no session any more; `reload` begins another")
        if self._holder is not None and self._holder.ended.done():
            await self._release()
        if not self._container:
            asked = self._place.container(initial=self._initial)
            self._container = await self._bridge.open(asked)
            keys = f" {KEYS}" if self._console.is_terminal else ""
            self._shell.say(f"Launching interactive container.{keys}")
        self._number += 1
        meta = self._place.process(invoke)
        tty = self._console.is_terminal if invoke.tty is None else invoke.tty
        stdin = not self._piped
        program = Program(f"{self._number}", " ".join(meta.args), tty=tty, stdin=stdin)
        init = pb.InitMessage(
            container_id=self._container,
            meta=meta,
            tty=tty,
            fds=(0, 1, 2) if stdin else (1, 2),
            security=self._place.security,
        )
        program.process = await self._bridge.start(init, program.hear)
        self._holder = self._holder or program.process
        self._programs[program.name] = program
        return await self._attached(program)

    async def _release(self) -> None:
        """Give the container back, and with it what runs in it."""
        for program in self._programs.values():
            if program.process is not None:
                program.process.kill()
        self._programs.clear()
        self._holder = None
        if self._container:
            container, self._container = self._container, ""
            await self._bridge.release(container)

    async def _attached(self, program: Program) -> End | None:
        """Give a program the terminal until it ends or the keys are pressed."""
        process = program.process
        assert process is not None
        self._shell.out.flush()
        loop = asyncio.get_running_loop()

        def fit() -> None:
            height, width = size(1)
            if program.tty and height and not process.ended.done():
                resizing.append(loop.create_task(process.resize(height, width)))

        resizing: list[asyncio.Task[None]] = []
        with RawMode(0, program.tty):
            program.to_front()
            loop.add_signal_handler(signal.SIGWINCH, fit)
            fit()
            try:
                key = await self._joined(process, stdin=program.stdin)
            finally:
                program.to_back()
                loop.remove_signal_handler(signal.SIGWINCH)
        if process.ended.done():
            del self._programs[program.name]
            self._shell.say(f"process {program.name} ended: exit code: {process.ended.result()}")
        return End.EXIT if key is Key.EXIT else None

    async def _joined(self, process: Process, *, stdin: bool) -> Key | None:
        """Hand on what is typed; return the key that ended it, if it was one."""
        if not stdin:
            await asyncio.wait([process.ended])
            return None
        escapes = Escapes()
        while True:
            reading = asyncio.ensure_future(self._console.read())
            every: list[asyncio.Future[Any]] = [process.ended, reading]
            await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
            if process.ended.done():
                if reading.done():
                    self._console.put_back(reading.result())
                reading.cancel()
                return None
            if not (data := reading.result()):
                with suppress(BoxshipError):
                    await process.feed(b"")
                await asyncio.wait([process.ended])
                return None
            for piece in escapes.feed(data) if self._console.is_terminal else [data]:
                if piece is Key.HELP:
                    write_all(1, f"\r\n{KEYS}\r\n".encode())
                elif isinstance(piece, Key):
                    return piece
                else:
                    await process.feed(piece)
