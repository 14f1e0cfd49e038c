"""`boxship-runtime`: the native runtime as an OCI command, for other engines."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Final

import msgspec

import boxship
from boxship.errors import BoxshipError, InvalidRequest
from boxship.kernel import memfd, mounts, processes
from boxship.kernel.capabilities import NAMES, last_cap
from boxship.runtime import cgroups, flags, hooks, standing
from boxship.runtime.api import CreateRequest, ExecRequest, Init, Stdio
from boxship.runtime.cgroups import Cgroup
from boxship.runtime.errors import BadBundle, StartFailed, WrongState
from boxship.runtime.flags import Flags
from boxship.runtime.native import NativeRuntime
from boxship.runtime.options import ATTRIBUTES, PROPAGATION
from boxship.runtime.plans import Terms
from boxship.runtime.standing import Folder, Standing
from boxship.runtime.telling import CREATING, EXECUTING
from boxship.spec.oci import runtime as oci

VERSION: Final = "0.1.0"
ROOT: Final = "/run/boxship-runtime"
STREAMS: Final = Stdio(0, 1, 2)
HOOKS: Final = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)
MAKING: Final = frozenset(("create", "run", "start", "exec"))  # those that make processes
GONE_WITHIN: Final = 10.0  # seconds for a killed process to have ended

# A created container waits in this process's memory, which must stay as it is when we end.
_KEPT: Final[list[NativeRuntime]] = []


class Call:
    """One call of the command: its flags and words."""

    def __init__(self, root: str, given: Flags, words: list[str]) -> None:
        self.root = root
        self.flags = given
        self.words = words

    def folder(self) -> Folder:
        if not self.words:
            raise InvalidRequest("container id cannot be empty")
        return Folder(self.root, self.words[0])

    def runtime(self, gate: int | None = None) -> NativeRuntime:
        """Return a runtime whose processes outlive this one."""
        kept = (flags.number(self.flags, "preserve-fds") or 0) + _listening()
        terms = Terms(
            kept=kept,
            gate=gate,
            dies_with_us=False,
            pivot=not flags.given(self.flags, "no-pivot"),
            new_keyring=not flags.given(self.flags, "no-new-keyring"),
            hooks_inside=False,
        )
        runtime = NativeRuntime(terms=terms, filters=os.path.join(self.root, ".filters"))
        _KEPT.append(runtime)
        return runtime


def _listening() -> int:
    """Return how many sockets whoever started us hands on in systemd's way."""
    count = os.environ.get("LISTEN_FDS", "")
    return int(count) if count.isdigit() and int(count) < 1024 else 0


# -- the first process


def create(call: Call) -> int:
    """Set a container up to where only the program's start is missing."""
    make(call)
    return 0


def make(call: Call) -> Init:
    """Make a container that waits, and remember it."""
    folder = call.folder()
    bundle = os.path.abspath(flags.text(call.flags, "bundle", "."))
    spec = read_spec(bundle)
    folder.make()
    with ExitStack() as undo:
        undo.callback(folder.remove)
        os.mkfifo(folder.gate, 0o600)
        gate = os.open(folder.gate, os.O_RDWR | os.O_CLOEXEC)
        undo.callback(os.close, gate)
        runtime = call.runtime(gate)
        rootfs = os.path.join(bundle, spec.root.path if spec.root else "rootfs")
        root = mounts.open_tree(rootfs, recursive=True)
        undo.callback(os.close, root)
        mounts.mount_setattr(root, propagation=mounts.MS_PRIVATE, recursive=True)
        init = runtime.create(CreateRequest(folder.name, spec, bundle, root, stdio=STREAMS))
        undo.callback(end, init, runtime, folder.name)
        hand_over(call, init)
        made = Standing(
            folder.name,
            init.pid,
            processes.start_time(init.pid),
            bundle,
            rootfs,
            runtime.group(folder.name).path,
            standing.now(),
        )
        folder.write(made, spec)
        write_pid(call, init.pid)
        undo.pop_all()
    return init


def end(init: Init, runtime: NativeRuntime, name: str) -> None:
    """Take back a container that was made and could not be kept."""
    processes.send_signal(init.pidfd, signal.SIGKILL)
    processes.wait(init.pidfd)
    runtime.delete(name)


def start(call: Call) -> int:
    """Let a created container's program run."""
    folder = call.folder()
    made, spec = folder.read(), folder.spec()
    if folder.status(made) != "created":
        raise WrongState(f"cannot start a container in the {folder.status(made)} state")
    state = folder.state(made, spec.annotations)
    if hooks.any_inside(spec.hooks):
        with open_process(made) as pidfd:
            call.runtime().run_hooks_inside(spec, Init(made.pid, pidfd), state)
    gate = os.open(folder.gate, os.O_WRONLY | os.O_CLOEXEC)
    os.unlink(folder.gate)  # first: whoever asks from now on sees it running
    os.write(gate, b"g")
    os.close(gate)
    if spec.hooks:
        running = msgspec.structs.replace(state, status="running")
        report(hooks.run_late("poststart", spec.hooks.poststart, running))
    return 0


def run(call: Call) -> int:
    """Create, start and, unless detached, wait and remove."""
    init = make(call)
    start(call)
    if flags.given(call.flags, "detach"):
        return 0
    folder = call.folder()
    made = folder.read()
    forward_signals(init.pidfd)
    ended = processes.wait(init.pidfd)
    if not flags.given(call.flags, "keep"):
        remove(folder, made)
    return processes.exit_code(ended) if ended else 0


def forward_signals(pidfd: int) -> None:
    """Hand on what we are sent to the program."""

    def hand_on(number: int, _frame: object) -> None:
        processes.send_signal(pidfd, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, hand_on)


# -- what is there


def state(call: Call) -> int:
    """Print the state document."""
    folder = call.folder()
    made = folder.read()
    found = folder.state(made, folder.spec().annotations)
    more = {"rootfs": made.rootfs, "created": made.created, "owner": made.owner}
    show({**msgspec.to_builtins(found), **more})
    return 0


def list_all(call: Call) -> int:
    """Print every container."""
    found = [(folder, made) for folder in standing.every(call.root) if (made := known(folder))]
    if flags.given(call.flags, "quiet"):
        print(*(made.id for _, made in found), sep="\n")
    elif flags.text(call.flags, "format") == "json":
        show([msgspec.to_builtins(folder.state(made, {})) for folder, made in found])
    else:
        row = "{:<20} {:<10} {:<10} {:<40} {:<22} {}".format
        print(row("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"))
        for folder, made in found:
            shown = folder.state(made, {})
            print(row(made.id, shown.pid, shown.status, made.bundle, made.created, made.owner))
    return 0


def known(folder: Folder) -> Standing | None:
    try:
        return folder.read()
    except BoxshipError:
        return None


def ps(call: Call) -> int:
    """Print the processes of a container."""
    group = group_of(call.folder().read())
    if flags.text(call.flags, "format", "table") == "json":
        show(group.pids())
    else:
        print("PID")
        print(*group.pids(), sep="\n")
    return 0


def features(_call: Call) -> int:
    """Print what this runtime can do."""
    recursive = [f"r{word}" for word in (*ATTRIBUTES, *PROPAGATION)]
    show(
        {
            "ociVersionMin": "1.0.0",
            "ociVersionMax": oci.VERSION,
            "hooks": list(HOOKS),
            "mountOptions": sorted([*ATTRIBUTES, *PROPAGATION, *recursive, "bind", "rbind"]),
            "linux": {
                "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
                "capabilities": list(NAMES[: last_cap() + 1]),
                "cgroup": {"v1": True, "v2": True, "systemd": False},
                "seccomp": {"enabled": True},
                "apparmor": {"enabled": False},
                "selinux": {"enabled": False},
            },
        }
    )
    return 0


# -- further processes


def execute(call: Call) -> int:
    """Run one more program inside."""
    folder = call.folder()
    made, spec = folder.read(), folder.spec()
    status = folder.status(made)
    if status not in ("running", "created"):
        raise WrongState(f"cannot exec in a {status} container")
    process = asked_process(call, spec)
    with open_process(made) as pidfd:
        there = Init(made.pid, pidfd)
        init = call.runtime().exec(ExecRequest(folder.name, there, spec, process, STREAMS))
    hand_over(call, init)
    write_pid(call, init.pid)
    if flags.given(call.flags, "detach"):
        return 0
    ended = processes.wait(init.pidfd)
    return processes.exit_code(ended) if ended else 0


def asked_process(call: Call, spec: oci.Spec) -> oci.Process:
    """Return the process described by a file, or by flags as a change to the container's own."""
    if path := flags.text(call.flags, "process"):
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=oci.Process)
    base = spec.process
    assert base is not None
    user, _, group = flags.text(call.flags, "user").partition(":")
    more = [int(gid) for gid in call.flags.get("additional-gids", [])]
    return msgspec.structs.replace(
        base,
        args=call.words[1:],
        env=[*base.env, *call.flags.get("env", [])],
        cwd=flags.text(call.flags, "cwd", base.cwd),
        terminal=flags.given(call.flags, "tty"),
        no_new_privileges=base.no_new_privileges or flags.given(call.flags, "no-new-privs"),
        user=oci.User(uid=int(user), gid=int(group or 0), additional_gids=more)
        if user
        else base.user,
    )


# -- changes, and the end


def kill(call: Call) -> int:
    """Send a signal to the first process, or to all."""
    folder = call.folder()
    made = folder.read()
    number = signal_number(call.words[1] if len(call.words) > 1 else "SIGTERM")
    if flags.given(call.flags, "all"):
        for pid in group_of(made).pids():
            processes.kill(pid, number)
        return 0
    if folder.status(made) == "stopped":
        raise WrongState("container not running")
    with open_process(made) as pidfd:
        processes.send_signal(pidfd, number)
    return 0


def signal_number(word: str) -> int:
    """Read a signal: a number, or a name with or without SIG."""
    if word.isdigit():
        return int(word)
    try:
        return signal.Signals[f"SIG{word.upper().removeprefix('SIG')}"].value
    except KeyError:
        raise InvalidRequest(f"unknown signal {word!r}") from None


def delete(call: Call) -> int:
    """Remove what is kept of a container that has ended; by force, end it first."""
    folder = call.folder()
    force = flags.given(call.flags, "force")
    try:
        made = folder.read()
    except BoxshipError:
        if force:
            folder.remove()
            return 0
        raise
    status = folder.status(made)
    if status not in ("stopped", "created") and not force:
        raise WrongState(f"cannot delete container {made.id} that is not stopped: {status}")
    if status != "stopped":
        group_of(made).kill()
        wait_gone(made)
    remove(folder, made)
    return 0


def wait_gone(made: Standing) -> None:
    """Wait until a killed process, which is not our child, has ended."""
    deadline = time.monotonic() + GONE_WITHIN
    while processes.is_alive(made.pid, made.started):
        if time.monotonic() > deadline:
            raise WrongState(f"the process {made.pid} does not end")
        time.sleep(0.005)


def remove(folder: Folder, made: Standing) -> None:
    """Remove cgroup and folder, and tell the hooks."""
    spec = folder.spec()
    group = group_of(made)
    group.kill()  # what it left running, where it had no pid namespace of its own
    group.remove()
    last = folder.state(made, spec.annotations)
    folder.remove()
    if spec.hooks:
        report(hooks.run_late("poststop", spec.hooks.poststop, last))


def pause(call: Call) -> int:
    """Stop every process of a container."""
    group_of(call.folder().read()).freeze()
    return 0


def resume(call: Call) -> int:
    """Let the processes of a paused container go on."""
    group_of(call.folder().read()).thaw()
    return 0


def update(call: Call) -> int:
    """Change limits: those of a document, or single ones by flags."""
    made = call.folder().read()
    if source := flags.text(call.flags, "resources"):
        data = sys.stdin.buffer.read() if source == "-" else _read(source)
        wanted = msgspec.json.decode(data, type=oci.Resources)
    else:
        wanted = resources_of(call.flags)
    group_of(made).update(wanted)
    return 0


def resources_of(given: Flags) -> oci.Resources:
    """Return limits given one by one."""
    weight, limit = flags.number(given, "blkio-weight"), flags.number(given, "pids-limit")
    return oci.Resources(
        memory=oci.Memory(
            limit=flags.number(given, "memory"),
            reservation=flags.number(given, "memory-reservation"),
            swap=flags.number(given, "memory-swap"),
        ),
        cpu=oci.CPU(
            shares=flags.number(given, "cpu-share") or flags.number(given, "cpu-shares"),
            quota=flags.number(given, "cpu-quota"),
            period=flags.number(given, "cpu-period"),
            cpus=flags.text(given, "cpuset-cpus"),
            mems=flags.text(given, "cpuset-mems"),
        ),
        pids=oci.Pids(limit=limit) if limit is not None else None,
        block_io=oci.BlockIO(weight=weight) if weight is not None else None,
    )


# -- helpers


def read_spec(bundle: str) -> oci.Spec:
    """Read a bundle's `config.json`."""
    try:
        return msgspec.json.decode(_read(f"{bundle}/config.json"), type=oci.Spec)
    except msgspec.DecodeError as failure:
        raise BadBundle(f"config.json: {failure}") from failure


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def group_of(made: Standing) -> Cgroup:
    return cgroups.detect().open(made.cgroup)


@contextmanager
def open_process(made: Standing) -> Iterator[int]:
    """A descriptor of a container's first process, if it is still the one that was created."""
    try:
        pidfd = processes.open_pidfd(made.pid)
    except ProcessLookupError:
        raise WrongState("container not running") from None
    try:
        if not processes.is_alive(made.pid, made.started):
            raise WrongState("container not running")
        yield pidfd
    finally:
        os.close(pidfd)


def hand_over(call: Call, init: Init) -> None:
    """Send a terminal to whoever listens for it."""
    if init.terminal is None:
        return
    path = flags.text(call.flags, "console-socket")
    if not path:
        raise StartFailed("cannot allocate tty if runc will detach without setting console socket")
    with socket.socket(socket.AF_UNIX) as there:
        there.connect(path)
        socket.send_fds(there, [b"/dev/ptmx"], [init.terminal])
    os.close(init.terminal)


def write_pid(call: Call, pid: int) -> None:
    """Write the pid where it was asked for; whoever waits for the file finds it whole."""
    if path := flags.text(call.flags, "pid-file"):
        beside = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}")
        with open(beside, "w", encoding="ascii") as file:
            file.write(str(pid))
        os.rename(beside, path)


def show(document: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def report(lines: Sequence[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


COMMANDS: Final[dict[str, Callable[[Call], int]]] = {
    "create": create,
    "start": start,
    "run": run,
    "state": state,
    "list": list_all,
    "ps": ps,
    "features": features,
    "exec": execute,
    "kill": kill,
    "delete": delete,
    "pause": pause,
    "resume": resume,
    "update": update,
}


# What an isolated interpreter without site packages is told to do.
_PROGRAM: Final = "import sys; sys.path[:0] = {path!r}; from {name} import main; main()"


def run_from_copy() -> None:
    """Run again from a copy of the interpreter that nobody can write to, unless we do already.

    Programs in a container may see the interpreter as theirs for a moment, and could otherwise
    reach the host's own through /proc/<pid>/exe.
    """
    if os.readlink("/proc/self/exe").startswith("/memfd:"):
        return
    interpreter = os.path.realpath(sys.executable)
    path = [os.path.dirname(os.path.dirname(str(found.__file__))) for found in (boxship, msgspec)]
    program = _PROGRAM.format(path=path, name="boxship.runtime.command")
    copy = memfd.sealed_copy(interpreter, "boxship-runtime")
    os.execve(copy, [interpreter, "-I", "-S", "-B", "-c", program, *sys.argv[1:]], os.environ)


def main() -> None:
    """Run the command; what went wrong goes to stderr, and to the log that engines read."""
    log = ""
    try:
        before, words = flags.read(sys.argv[1:], flags.GLOBAL, stops=True)
        log = flags.text(before, "log")
        if flags.given(before, "version"):
            print(f"boxship-runtime version {VERSION}\nspec: {oci.VERSION}")
            return
        if not words or words[0] not in COMMANDS:
            raise InvalidRequest(f"commands are: {', '.join(COMMANDS)}")
        if words[0] in MAKING:
            run_from_copy()
        given, others = flags.read(
            words[1:], flags.COMMANDS[words[0]], stops=words[0] in ("exec", "run", "create")
        )
        call = Call(flags.text(before, "root", ROOT), given, others)
        code = COMMANDS[words[0]](call)
    except (BoxshipError, OSError) as failure:
        message = plain(str(failure))
        print(f"boxship-runtime: {message}", file=sys.stderr)
        with suppress(OSError):
            write_log(log, message)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing is tidied up: see _KEPT


def plain(message: str) -> str:
    """Return a message without what engines put around it themselves."""
    for doing in (CREATING, EXECUTING):
        said = doing.partition(": ")[2]
        if message.startswith(doing):
            return message.removeprefix(doing.removesuffix(said)).removesuffix(": unknown")
    return message


def write_log(path: str, message: str) -> None:
    """Add an error to a log of JSON lines."""
    if path:
        line = {"level": "error", "msg": message, "time": standing.now()}
        with open(path, "ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")


if __name__ == "__main__":
    main()
