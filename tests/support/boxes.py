"""Containers of the tests' own, made straight by a runtime: a root with busybox in it, a spec.

Needs root. Everything is below one temporary folder and one cgroup, and gone at the end.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from boxship.kernel import mounts, processes
from boxship.kernel.syscalls import MACHINE
from boxship.runtime import seccomp
from boxship.runtime.api import CreateRequest, ExecRequest, Init, Runtime, Stdio
from boxship.spec.oci import runtime as oci
from tests.support import ledger

BUSYBOX = "/bin/busybox"
APPLETS = (
    "sh", "true", "false", "sleep", "cat", "echo", "ls", "id", "mount", "hostname", "grep", "stat",
    "tty", "touch", "env", "pwd", "ps", "kill", "ln", "mkdir", "rm", "readlink", "stty", "mknod",
    "umount", "dd", "head", "wc", "seq", "umask", "test", "usleep",
)  # fmt: skip
USUAL_CAPS = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID",
        "SETFCAP", "SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
    )
)  # fmt: skip
SPACES = ("mount", "pid", "uts", "ipc", "network", "cgroup")
SECURE = ("nosuid", "noexec", "nodev")
MASKED = ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi",
          "/sys/firmware")  # fmt: skip
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_numbers = itertools.count(1)


@dataclass
class Ran:
    """How a program ended and what it said."""

    code: int
    output: str

    @property
    def lines(self) -> list[str]:
        return self.output.split("\n")[:-1]


def mount(destination: str, type: str, *options: str, source: str = "") -> oci.Mount:
    return oci.Mount(
        destination=destination, type=type, source=source or type, options=list(options)
    )


def bind(source: object, destination: str, *options: str) -> oci.Mount:
    return mount(destination, "bind", *(options or ("rbind", "rprivate")), source=str(source))


@dataclass
class Boxes:
    """Makes containers with one runtime."""

    runtime: Runtime
    folder: Path
    running: dict[str, Init] = field(default_factory=dict)

    @property
    def image(self) -> Path:
        """The root that every container begins with; a test may change it before."""
        return self.folder / "image"

    def spec(
        self,
        *words: str,
        spaces: Sequence[str] = SPACES,
        caps: Sequence[str] = USUAL_CAPS,
        mounts: Sequence[oci.Mount] = (),
        process: dict[str, Any] | None = None,
        linux: dict[str, Any] | None = None,
        **others: Any,
    ) -> oci.Spec:
        """Return what an engine would ask for, with the differences given."""
        sets = list(caps)
        rights = oci.Capabilities(bounding=sets, effective=sets, permitted=sets)
        named = f"/boxship-tests-{os.getpid()}/{next(_numbers)}"
        asked = oci.Process(
            args=list(words),
            cwd="/",
            env=["PATH=/usr/bin:/bin", "HOME=/root"],
            capabilities=rights,
        )
        kernel = oci.Linux(
            namespaces=[oci.Namespace(type=kind) for kind in spaces],
            cgroups_path=named,
            masked_paths=list(MASKED),
            readonly_paths=list(READONLY),
            seccomp=seccomp.default_profile(frozenset(caps), kernel_version(), MACHINE),
        )
        return oci.Spec(
            process=msgspec.structs.replace(asked, **(process or {})),
            root=others.pop("root", oci.Root(path="rootfs")),
            hostname=others.pop("hostname", "box" if "uts" in spaces else ""),
            mounts=[*usual_mounts(), *mounts],
            linux=msgspec.structs.replace(kernel, **(linux or {})),
            **others,
        )

    @contextlib.contextmanager
    def root(self) -> Iterator[int]:
        """A fresh writable root over the image."""
        place = Path(tempfile.mkdtemp(dir=self.folder))
        for name in ("upper", "work"):
            (place / name).mkdir()
        tree = mounts.overlay([str(self.image)], str(place / "upper"), str(place / "work"))
        try:
            yield tree
        finally:
            os.close(tree)

    def start(self, spec: oci.Spec, stdio: Stdio | None = None, **request: Any) -> str:
        """Start a container and leave it running; return its name."""
        name = f"box-{next(_numbers)}"
        with self.root() as root:
            self.running[name] = self.runtime.run(
                CreateRequest(
                    id=name,
                    spec=spec,
                    bundle=str(self.folder),
                    root=root,
                    stdio=stdio or Stdio(),
                    **request,
                )
            )
        return name

    def run(self, *words: str, request: dict[str, Any] | None = None, **differences: Any) -> Ran:
        """Run a container to its end."""
        spec = self.spec(*words, **differences)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with open(reading, "rb", buffering=0) as reader:
            try:
                name = self.start(spec, Stdio(None, writing, writing), **(request or {}))
            finally:
                os.close(writing)
            init = self.running[name]
            said = read_all(reader.fileno() if init.terminal is None else init.terminal)
        return Ran(self.end(name, kill=False), said)

    def exec(self, name: str, spec: oci.Spec, *words: str, **process: Any) -> Ran:
        """Run one more program in a container."""
        assert spec.process is not None
        asked = msgspec.structs.replace(spec.process, args=list(words), **process)
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with open(reading, "rb", buffering=0) as reader:
            try:
                made = self.runtime.exec(
                    ExecRequest(
                        name, self.running[name], spec, asked, Stdio(None, writing, writing)
                    )
                )
            finally:
                os.close(writing)
            said = read_all(reader.fileno() if made.terminal is None else made.terminal)
        ended = processes.wait(made.pidfd)
        os.close(made.pidfd)
        if made.terminal is not None:
            os.close(made.terminal)
        assert ended
        return Ran(processes.exit_code(ended), said)

    def end(self, name: str, *, kill: bool = True) -> int:
        """Wait for a container's end, and remove what is kept of it."""
        init = self.running.pop(name)
        if kill:
            processes.send_signal(init.pidfd, 9)
        while not processes.has_ended(init.pidfd, 1.0):
            self._wait_for_strangers()
        ended = processes.wait(init.pidfd)
        os.close(init.pidfd)
        if init.terminal is not None:
            os.close(init.terminal)
        self.runtime.delete(name)
        assert ended
        return processes.exit_code(ended)

    def _wait_for_strangers(self) -> None:
        """Do as a keeper does: a process killed on its way into a container may take its time.

        Until it is waited for, its pid namespace does not end.
        """
        known = {init.pid for init in self.running.values()}
        for task in Path("/proc/self/task").iterdir():
            for pid in map(int, (task / "children").read_text().split()):
                stat = Path(f"/proc/{pid}/stat").read_text()
                if pid not in known and stat.rpartition(")")[2].split()[0] == "Z":
                    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | processes.ANY_CHILD)


def usual_mounts() -> list[oci.Mount]:
    return [
        mount("/proc", "proc", *SECURE),
        mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666",
              "mode=0620", "gid=5"),
        mount("/sys", "sysfs", *SECURE, "ro"),
        mount("/sys/fs/cgroup", "cgroup", *SECURE, "ro"),
        mount("/dev/mqueue", "mqueue", *SECURE),
        mount("/dev/shm", "tmpfs", *SECURE, "mode=1777", "size=65536k", source="shm"),
    ]  # fmt: skip


def kernel_version() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int(minor)


def read_all(descriptor: int) -> str:
    parts = []
    with contextlib.suppress(OSError):  # EIO: nobody has the other side of a terminal any more
        while part := os.read(descriptor, 65536):
            parts.append(part)
    return b"".join(parts).decode(errors="replace").replace("\r\n", "\n")


@contextlib.contextmanager
def boxes(runtime: Runtime) -> Iterator[Boxes]:
    """Containers for a test; those it leaves running are ended."""
    folder = Path(tempfile.mkdtemp(prefix="boxship-boxes-"))
    made = Boxes(runtime, folder)
    try:
        (made.image / "bin").mkdir(parents=True)
        for name in ("proc", "etc", "tmp", "root"):
            (made.image / name).mkdir()
        shutil.copy(BUSYBOX, made.image / "bin/busybox")
        for name in APPLETS:
            (made.image / "bin" / name).symlink_to("busybox")
        yield made
    finally:
        for name in reversed(list(made.running)):  # later ones may live in earlier ones' namespaces
            made.end(name)
        shutil.rmtree(folder)
        remove_group(f"boxship-tests-{os.getpid()}")


def remove_group(name: str) -> None:
    """Remove a cgroup from every hierarchy; it fails while a container's is left in it."""
    for folder in ledger.group_folders(name):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(folder)
