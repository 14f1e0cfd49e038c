"""A runtime that is somebody else's program: runc, or any with its command line.

The calling shim makes a mount namespace of its own and attaches the container's root in it, so
that the program finds a path and the host sees no mount. Containers are made detached; their
processes become children of the shim, which is a subreaper.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final

import msgspec

from boxship.kernel import mounts, namespaces, processes, terminals
from boxship.lib import atomicfile
from boxship.runtime.api import CreateRequest, ExecRequest, Init, Stdio
from boxship.runtime.errors import NOT_EXECUTABLE, NOT_FOUND, OTHER, StartFailed
from boxship.spec.oci import runtime as oci

DEFAULT_ROOT: Final = "/run/boxship/oci"
MOST_LOG: Final = 1 << 20
SEARCH: Final = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
TERMINAL_WITHIN: Final = 10.0  # seconds, for the runtime to send what it has opened

# How the runtimes' own words tell why a program did not start.
MISSING: Final = ("executable file not found", "no such file or directory")
REFUSED: Final = ("permission denied", "not a directory", "is a directory")


class LogLine(msgspec.Struct):
    level: str = ""
    msg: str = ""


class ForeignRuntime:
    """Calls the program at `path`, with `args` before its own, keeping its state in `root`."""

    def __init__(self, path: str, args: Sequence[str] = (), root: str = "") -> None:
        self._root = root or DEFAULT_ROOT
        self._command = [path, *args, "--root", self._root]
        self._created: dict[int, str] = {}  # by the pid of the first process

    def run(self, request: CreateRequest) -> Init:
        """Create and start; a container that cannot be started is deleted again."""
        init = self.create(request)
        try:
            self.start(init)
        except BaseException:
            os.close(init.pidfd)
            if init.terminal is not None:
                os.close(init.terminal)
            self.delete(request.id)
            raise
        return init

    def create(self, request: CreateRequest) -> Init:
        """Set the container up in a mount namespace of the calling process's own."""
        bundle = os.path.join(request.bundle, "foreign")
        os.makedirs(os.path.join(bundle, "rootfs"), 0o700, exist_ok=True)
        os.makedirs(self._root, 0o700, exist_ok=True)
        namespaces.unshare(namespaces.FLAGS["mount"])
        mounts.set_propagation("/", mounts.MS_SLAVE)
        mounts.move_mount(request.root, os.path.join(bundle, "rootfs"))
        spec = self._own_spec(request)
        config = os.path.join(bundle, "config.json")
        atomicfile.write(config, msgspec.json.encode(spec), durable=False)
        terminal = bool(spec.process and spec.process.terminal)
        words = ["create", "--bundle", bundle]
        init = self._process(words, request.id, request.stdio, terminal, request)
        self._created[init.pid] = request.id
        return init

    def start(self, init: Init) -> None:
        """Let a created container's program run."""
        self._call("start", self._created[init.pid])

    def exec(self, request: ExecRequest) -> Init:
        """Run one more program inside."""
        with ExitStack() as undo:
            file = os.memfd_create("process", 0)
            undo.callback(os.close, file)
            os.write(file, msgspec.json.encode(request.process))
            words = ["exec", "--detach", "--process", f"/proc/{os.getpid()}/fd/{file}"]
            terminal = request.process.terminal
            return self._process(words, request.id, request.stdio, terminal, request)

    def kill_all(self, container: str) -> None:
        """Kill every process of a container."""
        with suppress(StartFailed):
            self._call("kill", "--all", container, "KILL")

    def delete(self, container: str) -> None:
        """Remove what the runtime keeps; nothing is done where it keeps nothing."""
        with suppress(StartFailed):
            self._call("delete", "--force", container)

    def _own_spec(self, request: CreateRequest) -> oci.Spec:
        """Name descriptors by paths that another program can open."""
        spec = request.spec
        linux = spec.linux or oci.Linux()
        joined = dict(request.join)
        if request.netns is not None:
            joined["network"] = request.netns
        spaces = [space for space in linux.namespaces if space.type not in joined]
        spaces += [
            oci.Namespace(type=kind, path=f"/proc/{os.getpid()}/fd/{descriptor}")
            for kind, descriptor in joined.items()
        ]
        return msgspec.structs.replace(
            spec,
            root=oci.Root(path="rootfs", readonly=bool(spec.root and spec.root.readonly)),
            linux=msgspec.structs.replace(linux, namespaces=spaces),
        )

    def _process(
        self,
        words: Sequence[str],
        container: str,
        stdio: Stdio,
        terminal: bool,
        asked: CreateRequest | ExecRequest,
    ) -> Init:
        """Have the program make a process; return it, with its terminal when it has one."""
        with ExitStack() as undo:
            place = _Place()
            undo.callback(place.remove)
            words = [*words, "--pid-file", f"{place.path}/pid"]
            console: socket.socket | None = None
            if terminal:
                console = undo.enter_context(socket.socket(socket.AF_UNIX))
                console.bind(f"{place.path}/console")
                console.listen(1)
                console.settimeout(TERMINAL_WITHIN)
                words += ["--console-socket", f"{place.path}/console"]
                stdio = Stdio()
            self._call(*words, container, stdio=stdio)
            with open(f"{place.path}/pid", encoding="ascii") as file:
                pid = int(file.read())
            pidfd = processes.open_pidfd(pid)
            master = _receive(console) if console else None
            if master is not None and asked.console_size:
                terminals.set_size(master, *asked.console_size)
            return Init(pid, pidfd, master)

    def _call(self, *words: str, stdio: Stdio | None = None) -> None:
        """Run the program; what its log says is the failure's message."""
        log = os.memfd_create("log", 0)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            command = [*self._command, "--log", f"/proc/{os.getpid()}/fd/{log}"]
            command += ["--log-format", "json", *words]
            given = stdio or Stdio()
            streams = (given.stdin, given.stdout, given.stderr)
            actions = [
                (os.POSIX_SPAWN_DUP2, null if stream is None else stream, number)
                for number, stream in enumerate(streams)
            ]
            try:
                pid = os.posix_spawnp(command[0], command, SEARCH, file_actions=actions)
            except OSError as failure:
                raise StartFailed(f"{command[0]}: {failure.strerror}", OTHER) from failure
            _, status = os.waitpid(pid, 0)
            if status:
                raise _failure(words[0], os.pread(log, MOST_LOG, 0), command[0])
        finally:
            os.close(log)
            os.close(null)


class _Place:
    """A folder with a short name, for the files and the socket of one call."""

    def __init__(self) -> None:
        self.path = f"/run/boxship-{os.getpid()}"
        os.mkdir(self.path, 0o700)

    def remove(self) -> None:
        for name in os.listdir(self.path):
            os.unlink(os.path.join(self.path, name))
        os.rmdir(self.path)


def _receive(console: socket.socket) -> int:
    """Take the terminal that the runtime sends."""
    try:
        sender, _ = console.accept()
        with sender:
            sender.settimeout(TERMINAL_WITHIN)
            _, found, _, _ = sender.recvmsg(4096, socket.CMSG_SPACE(4))
    except TimeoutError:
        raise StartFailed("the runtime sent no terminal", OTHER) from None
    for level, kind, data in found:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors = array.array("i", data[:4])
            os.set_inheritable(descriptors[0], False)
            return descriptors[0]
    raise StartFailed("the runtime sent no terminal", OTHER)


def _failure(verb: str, log: bytes, program: str) -> StartFailed:
    """Read the last error that the program has logged."""
    message = ""
    for line in log.splitlines():
        with suppress(msgspec.DecodeError):
            said = msgspec.json.decode(line, type=LogLine)
            if said.level in ("error", "fatal"):
                message = said.msg
    lower = message.lower()
    code = OTHER
    if any(words in lower for words in MISSING):
        code = NOT_FOUND
    elif any(words in lower for words in REFUSED):
        code = NOT_EXECUTABLE
    what = "exec" if verb == "exec" else "create"
    said_or_not = message or f"{os.path.basename(program)} did not say why"
    return StartFailed(f"OCI runtime {what} failed: {said_or_not}: unknown", code)
