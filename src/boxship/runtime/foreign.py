"""Another OCI runtime, driven by its command line: runc, crun, youki, gVisor's runsc.

The container's root is attached in a mount namespace of the command that creates the container, so
that here too nothing is mounted where the host would see it, and nothing of the host's is held
when the command has ended. What the runtime leaves running becomes the child of the nearest
subreaper: the container's keeper. All that is remembered is in the container's folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from boxship.kernel import mounts, namespaces, processes
from boxship.runtime.api import CreateRequest, ExecRequest, Init
from boxship.runtime.cgroups import scopes
from boxship.runtime.commands import Commands, Console
from boxship.runtime.errors import NoSuchContainer, StartFailed
from boxship.runtime.init import INIT_PATH
from boxship.runtime.small_init import code_of_init
from boxship.spec.oci import runtime as oci

CREATING: Final = "OCI runtime create failed"
STARTING: Final = "OCI runtime start failed"
EXECUTING: Final = "OCI runtime exec failed"
KILLING: Final = "OCI runtime kill failed"
DELETING: Final = "OCI runtime delete failed"
STARTS_WITHIN: Final = 60.0  # seconds for a command that starts something
ENDS_WITHIN: Final = 20.0  # for one that ends something
NOBODY: Final = 0


class ForeignRuntime:
    """Starts containers by a runtime's commands."""

    def __init__(
        self,
        path: str,
        args: Sequence[str] = (),
        root: str | None = None,
        *,
        folders: str,
        patience: float = STARTS_WITHIN,
    ) -> None:
        """`path` is the program, `args` go before every command, `root` is its state folder.

        Below `folders` each container has a folder by its name.
        """
        before = [*args, *(["--root", root] if root else [])]
        found = shutil.which(path) or path
        self._commands = Commands(found, before, patience)
        self._ending = Commands(found, before, min(patience, ENDS_WITHIN))
        self._folders = folders
        self._created: dict[int, str] = {}  # names by pid, until they are started

    def create(self, request: CreateRequest) -> Init:
        """Set a container up to where only the program's start is missing."""
        folder = self._folder(request.id)
        try:
            init = self._create(folder, request)
        except BaseException:
            self.delete(request.id)
            raise
        self._created[init.pid] = request.id
        return init

    def _create(self, folder: str, request: CreateRequest) -> Init:
        os.mkdir(f"{folder}/rootfs", 0o700)
        places = make_places(folder, request.trees)
        spec = with_paths(request, places)
        if request.init_program:
            spec = with_init(spec, folder)
        with open(f"{folder}/config.json", "wb") as file:
            file.write(msgspec.json.encode(spec))

        def go_apart() -> None:
            attach_apart(request, f"{folder}/rootfs", places)

        terminal = bool(spec.process and spec.process.terminal)
        with Console(folder, wanted=terminal) as console:
            self._commands.call(
                folder, CREATING,
                *by_systemd(spec), "create", "--bundle", folder, "--pid-file", f"{folder}/pid",
                *console.arguments, request.id,
                stdio=request.stdio, before=go_apart,
            )  # fmt: skip
            return adopt(folder, console.take)

    def start(self, init: Init) -> None:
        """Let a created container's program run."""
        name = self._created.pop(init.pid, None)
        if name is None:
            raise NoSuchContainer(str(init.pid))
        self._commands.call(self._folder(name), STARTING, "start", name)

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
            folder = tempfile.mkdtemp(prefix="exec-", dir=self._folder(request.id))
            undo.callback(shutil.rmtree, folder, ignore_errors=True)
            with open(f"{folder}/process.json", "wb") as file:
                file.write(msgspec.json.encode(request.process))
            with Console(folder, wanted=request.process.terminal) as console:
                self._commands.call(
                    folder, EXECUTING,
                    "exec", "--detach", "--process", f"{folder}/process.json",
                    "--pid-file", f"{folder}/pid", *console.arguments, request.id,
                    stdio=request.stdio,
                )  # fmt: skip
                return adopt(folder, console.take)

    def kill_all(self, container: str) -> None:
        """Kill every process of a container."""
        self._ending.call(self._folder(container), KILLING, "kill", "--all", container, "KILL")

    def delete(self, container: str) -> None:
        """Remove what the runtime keeps for a container that has ended."""
        folder = self._folder(container)
        with contextlib.suppress(StartFailed):  # it may not have come so far as to be known
            self._ending.call(folder, DELETING, "delete", "--force", container)
        shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, container: str) -> str:
        """Return what is kept for a container, which another process may have started."""
        folder = f"{self._folders}/{container}/oci"
        os.makedirs(folder, 0o700, exist_ok=True)
        return folder


def by_systemd(spec: oci.Spec) -> tuple[str, ...]:
    """Return the option that tells a runtime whose words a control group's path is in."""
    path = spec.linux.cgroups_path if spec.linux else ""
    return ("--systemd-cgroup",) if scopes.is_booted() and scopes.unit_of(path) else ()


def make_places(folder: str, trees: Mapping[str, int]) -> dict[str, str]:
    """Make what detached mounts are to be attached to; return the paths by destination."""
    places = {}
    os.mkdir(f"{folder}/trees", 0o700)
    for number, (destination, tree) in enumerate(trees.items()):
        path = places[destination] = f"{folder}/trees/{number}"
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.mkdir(path)
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return places


def attach_apart(request: CreateRequest, root: str, places: Mapping[str, str]) -> None:
    """Attach a container's mounts where this process, and those that it starts, see them."""
    namespaces.unshare(namespaces.CLONE_NEWNS)
    mounts.set_propagation("/", mounts.MS_SLAVE)
    mounts.move_mount(request.root, root)
    for destination, tree in request.trees.items():
        mounts.move_mount(tree, places[destination])


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


def adopt(folder: str, take_terminal: Callable[[], int | None]) -> Init:
    """Return the process that a runtime has left to us."""
    pid = _read_pid(folder)
    if pid == NOBODY:
        raise StartFailed("the runtime did not say which process it has started")
    terminal = take_terminal()
    try:
        return Init(pid, processes.open_pidfd(pid), terminal)
    except BaseException:
        if terminal is not None:
            os.close(terminal)
        raise


def _read_pid(folder: str) -> int:
    try:
        with open(f"{folder}/pid", encoding="ascii") as file:
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return NOBODY
