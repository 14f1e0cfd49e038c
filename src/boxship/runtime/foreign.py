"""Another OCI runtime, driven by its command line: runc, crun, youki, gVisor's runsc.

The container's root is attached in a mount namespace of the calling process's own, so that here
too nothing is mounted where the host would see it. What the runtime leaves running becomes the
caller's child, since the caller is a subreaper.

    <folder>/config.json   the spec, with descriptors named by paths
    <folder>/rootfs        where the root is attached
    <folder>/pid, console, log, process.json, docker-init
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from boxship.kernel import mounts, namespaces, processes
from boxship.runtime.api import CreateRequest, ExecRequest, Init, Stdio
from boxship.runtime.errors import NOT_EXECUTABLE, NOT_FOUND, OTHER, NoSuchContainer, StartFailed
from boxship.runtime.init import INIT_PATH
from boxship.runtime.small_init import code_of_init
from boxship.spec.oci import runtime as oci

CREATING: Final = "OCI runtime create failed"
STARTING: Final = "OCI runtime start failed"
EXECUTING: Final = "OCI runtime exec failed"
NOBODY: Final = 0
_ABSENT: Final = ("executable file not found", "no such file or directory")
_REFUSED: Final = ("permission denied", "is a directory")


class LogLine(msgspec.Struct):
    """A line of a runtime's log in the JSON format."""

    level: str = ""
    msg: str = ""


class ForeignRuntime:
    """Starts containers by a runtime's commands."""

    def __init__(self, path: str, args: Sequence[str] = (), root: str | None = None) -> None:
        """`path` is the program, `args` go before every command, `root` is its state folder."""
        self._path = shutil.which(path) or path
        self._args = [*args, *(["--root", root] if root else [])]
        self._folders: dict[str, str] = {}
        self._is_apart = False

    def create(self, request: CreateRequest) -> Init:
        """Set a container up to where only the program's start is missing."""
        self._go_apart()
        folder = tempfile.mkdtemp(prefix="boxship-oci-")
        self._folders[request.id] = folder
        try:
            with attached(request.trees) as trees:
                return self._create(folder, request, trees)
        except BaseException:
            self.delete(request.id)
            raise

    def _create(self, folder: str, request: CreateRequest, trees: Mapping[str, str]) -> Init:
        spec = self._write_bundle(folder, request, trees)
        terminal = bool(spec.process and spec.process.terminal)
        with Console(folder, wanted=terminal) as console:
            self._call(
                folder, CREATING, request.stdio,
                "create", "--bundle", folder, "--pid-file", f"{folder}/pid",
                *console.arguments, request.id,
            )  # fmt: skip
            return adopt(folder, console.take())

    def start(self, init: Init) -> None:
        """Let a created container's program run."""
        name = next((n for n, f in self._folders.items() if _read_pid(f) == init.pid), None)
        if name is None:
            raise NoSuchContainer(str(init.pid))
        self._call(self._folders[name], STARTING, Stdio(), "start", name)

    def run(self, request: CreateRequest) -> Init:
        """Create and start in one go."""
        init = self.create(request)
        try:
            self.start(init)
        except BaseException:
            processes.send_signal(init.pidfd, 9)
            processes.wait(init.pidfd)
            os.close(init.pidfd)
            if init.terminal is not None:
                os.close(init.terminal)
            self.delete(request.id)
            raise
        return init

    def exec(self, request: ExecRequest) -> Init:
        """Run one more program inside."""
        with contextlib.ExitStack() as undo:
            folder = tempfile.mkdtemp(prefix="boxship-oci-")
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            with open(f"{folder}/process.json", "wb") as file:
                file.write(msgspec.json.encode(request.process))
            with Console(folder, wanted=request.process.terminal) as console:
                self._call(
                    folder, EXECUTING, request.stdio,
                    "exec", "--detach", "--process", f"{folder}/process.json",
                    "--pid-file", f"{folder}/pid", *console.arguments, request.id,
                )  # fmt: skip
                return adopt(folder, console.take())

    def kill_all(self, container: str) -> None:
        """Kill every process of a container."""
        folder = self._folder(container)
        self._call(folder, "OCI runtime kill failed", Stdio(), "kill", "--all", container, "KILL")

    def delete(self, container: str) -> None:
        """Remove what the runtime keeps for a container that has ended."""
        folder = self._folder(container)
        try:
            with contextlib.suppress(StartFailed):  # it may not have come so far as to be known
                self._call(folder, "", Stdio(), "delete", "--force", container)
            with contextlib.suppress(OSError):
                mounts.umount(f"{folder}/rootfs", mounts.MNT_DETACH)
        finally:
            del self._folders[container]
            shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, container: str) -> str:
        """Return what is kept for a container, which another process may have started."""
        if container not in self._folders:
            self._folders[container] = tempfile.mkdtemp(prefix="boxship-oci-")
        return self._folders[container]

    def _go_apart(self) -> None:
        """Have a mount namespace of our own, which still sees what is mounted outside."""
        if not self._is_apart:
            namespaces.unshare(namespaces.CLONE_NEWNS)
            mounts.set_propagation("/", mounts.MS_SLAVE)
            self._is_apart = True

    def _write_bundle(
        self, folder: str, request: CreateRequest, trees: Mapping[str, str]
    ) -> oci.Spec:
        """Attach the root, and write the spec as a program that has only paths needs it."""
        os.mkdir(f"{folder}/rootfs", 0o700)
        mounts.move_mount(request.root, f"{folder}/rootfs")
        spec = with_paths(request, trees)
        if request.init_program:
            spec = with_init(spec, folder)
        with open(f"{folder}/config.json", "wb") as file:
            file.write(msgspec.json.encode(spec))
        return spec

    def _call(self, folder: str, doing: str, stdio: Stdio, *words: str) -> None:
        """Run a command to its end; its own words become the failure's."""
        log = f"{folder}/log"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(log)
        command = [self._path, *self._args, "--log", log, "--log-format", "json", *words]
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            streams = (stdio.stdin, stdio.stdout, stdio.stderr)
            actions = [
                (os.POSIX_SPAWN_DUP2, null if stream is None else stream, number)
                for number, stream in enumerate(streams)
            ]
            environment = {"PATH": os.defpath}
            pid = os.posix_spawn(self._path, command, environment, file_actions=actions)
        except OSError as failure:
            reason = os.strerror(failure.errno or 0).lower()
            raise StartFailed(f"{doing}: {self._path}: {reason}: unknown") from failure
        finally:
            os.close(null)
        _, status = os.waitpid(pid, 0)
        if status:
            raise refused(doing, read_log(log), os.waitstatus_to_exitcode(status))


@contextlib.contextmanager
def attached(trees: Mapping[str, int]) -> Iterator[dict[str, str]]:
    """Attach detached mounts where a program can name them; return the paths by destination.

    Nothing here is removed but empty folders and files: what is attached is somebody's data.
    """
    with contextlib.ExitStack() as undo:
        found: dict[str, str] = {}
        for destination, tree in trees.items():
            place = tempfile.mkdtemp(prefix="boxship-tree-")
            undo.callback(os.rmdir, place)
            path = f"{place}/tree"
            if stat.S_ISDIR(os.fstat(tree).st_mode):
                os.mkdir(path)
                undo.callback(os.rmdir, path)
            else:
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
                undo.callback(os.unlink, path)
            mounts.move_mount(tree, path)
            undo.callback(mounts.umount, path, mounts.MNT_DETACH)
            found[destination] = path
        yield found


def with_paths(request: CreateRequest, trees: Mapping[str, str]) -> oci.Spec:
    """Return the spec with every descriptor named by a path: of this process's /proc folder, or of
    where `trees` says that it is attached."""
    join = dict(request.join)
    if request.netns is not None:
        join["network"] = request.netns
    spec, me = request.spec, os.getpid()
    linux = spec.linux or oci.Linux()
    spaces = [space for space in linux.namespaces if space.type not in join]
    spaces += [oci.Namespace(type=kind, path=f"/proc/{me}/fd/{fd}") for kind, fd in join.items()]
    moved = [
        msgspec.structs.replace(
            mount,
            source=trees.get(mount.destination) or os.path.join(request.bundle, mount.source),
        )
        if mount.type == "bind" or {"bind", "rbind"} & set(mount.options)
        else mount
        for mount in spec.mounts
    ]
    root = oci.Root(path="rootfs", readonly=bool(spec.root and spec.root.readonly))
    linux = msgspec.structs.replace(linux, namespaces=spaces)
    return msgspec.structs.replace(spec, linux=linux, mounts=moved, root=root)


def with_init(spec: oci.Spec, folder: str) -> oci.Spec:
    """Return the spec with the small init before the program."""
    path = f"{folder}/docker-init"
    with open(path, "wb") as file:
        file.write(code_of_init())
        os.fchmod(file.fileno(), 0o555)
    mount = oci.Mount(
        destination=INIT_PATH, type="bind", source=path, options=["bind", "ro", "rprivate"]
    )
    assert spec.process is not None
    process = msgspec.structs.replace(spec.process, args=[INIT_PATH, "--", *spec.process.args])
    return msgspec.structs.replace(spec, process=process, mounts=[*spec.mounts, mount])


def adopt(folder: str, terminal: int | None) -> Init:
    """Return the process that a runtime has left to us."""
    pid = _read_pid(folder)
    return Init(pid, processes.open_pidfd(pid), terminal)


def _read_pid(folder: str) -> int:
    try:
        with open(f"{folder}/pid", encoding="ascii") as file:
            return int(file.read())
    except FileNotFoundError:
        return NOBODY


def read_log(path: str) -> str:
    """Return the last error that a runtime has logged."""
    said = ""
    try:
        with open(path, "rb") as file:
            lines = file.read(1 << 20).splitlines()
    except FileNotFoundError:
        return said
    for line in lines:
        with contextlib.suppress(msgspec.DecodeError):
            found = msgspec.json.decode(line, type=LogLine)
            if found.level in ("error", "fatal"):
                said = found.msg
    return said


def refused(doing: str, said: str, code: int) -> StartFailed:
    """Return the failure for what a runtime said, with the exit code that its words stand for."""
    words = said.lower()
    if any(text in words for text in _ABSENT):
        stands_for = NOT_FOUND
    elif any(text in words for text in _REFUSED):
        stands_for = NOT_EXECUTABLE
    else:
        stands_for = OTHER
    reason = said or f"the runtime ended with status {code}"
    return StartFailed(f"{doing}: {reason}: unknown", stands_for)


class Console:
    """The socket on which a runtime hands over the terminal it has opened."""

    def __init__(self, folder: str, *, wanted: bool) -> None:
        self._listener: socket.socket | None = None
        self.arguments: tuple[str, ...] = ()
        if wanted:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(f"{folder}/console")
            self._listener.listen(1)
            self.arguments = ("--console-socket", f"{folder}/console")

    def __enter__(self) -> Console:
        return self

    def take(self) -> int | None:
        """Return the terminal's master side; the runtime has sent it by now."""
        if self._listener is None:
            return None
        self._listener.settimeout(5)
        connection, _ = self._listener.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 4096, 1)
        if not descriptors:
            raise StartFailed("the runtime did not hand over its terminal")
        os.set_inheritable(descriptors[0], False)
        return descriptors[0]

    def __exit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.close()
