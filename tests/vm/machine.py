"""A throw-away Debian machine with systemd and pure cgroup v2, for the tests that need one.

    python -m tests.vm.machine build                 make or refresh the image
    python -m tests.vm.machine run [PYTEST ARGUMENTS]   run tests of this checkout in it
    python -m tests.vm.machine exec COMMAND...       run any command in it

The checkout and its virtual environment are read-only disks, shown at /src with a layer in memory
on top, so the host sees no change. The guest has the Debian release of the host, thus the Python
that the environment was made with. Where the host cannot virtualise, the machine is emulated:
about eight times slower, good for whether things work, not for how fast. The first run boots and
keeps a snapshot of the booted machine; later runs resume it in a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import os
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.vm import emulator, image

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache/vm"
MEMORY = "4096"  # MiB
PROCESSORS = "2"
KERNEL_ARGUMENTS = (
    "console=ttyS0 panic=-1 lpj=4000000 no_timer_check mitigations=off apparmor=0 audit=0 "
    "random.trust_cpu=on systemd.unified_cgroup_hierarchy=1 psi=1"
)
SNAPSHOT = "booted"
SOURCE_DISK, ENVIRONMENT_DISK = "1G", "2G"  # sparse; a snapshot remembers its disks' sizes
LEFT_OUT = (".git", ".venv", ".cache", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis")
SILENCE = 240.0  # seconds without a sign of life before a booting machine counts as stuck
MOUNTS = """
mkdir -p /mnt/source /mnt/environment /mnt/top /src
modprobe -a br_netfilter fuse loop
mount -o ro,noload /dev/vdb /mnt/source
mount -o ro,noload /dev/vdc /mnt/environment
mount -t tmpfs top /mnt/top
mkdir /mnt/top/upper /mnt/top/work
mount -t overlay -o lowerdir=/mnt/source,upperdir=/mnt/top/upper,workdir=/mnt/top/work over /src
mkdir -p /src/.venv
mount --bind /mnt/environment /src/.venv
"""
CLIENTS = ".clients"  # in the checkout's disk: what the tests drive the engine with
FETCHED_INTO = ".cache/clients"  # by packaging/setup/clients
FETCHED = ("docker", "docker-20.10", "docker-registry", "cli-plugins/docker-buildx")
WHAT = ("tests/kernel", "tests/contract", "tests/system")  # without arguments
PATIENCE = float(os.environ.get("TEST_PATIENCE", 8))  # times as long an emulated machine may take
LIMIT = 120 * PATIENCE  # seconds for one test, where it does not name its own
AT_ONCE = ("-n", PROCESSORS, "--dist", "loadgroup")


class Stuck(Exception):
    """The machine gives no sign of life."""


@dataclass
class Machine:
    """A running guest and the channel to it."""

    process: subprocess.Popen[bytes]
    folder: Path
    channel: socket.socket
    pending: bytes = b""

    def run(self, command: Sequence[str], *, cwd: str = "/", **environment: str) -> int:
        """Run a command as root, passing on its output; return its exit status."""
        request = {"argv": list(command), "cwd": cwd, "env": environment}
        self.channel.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = self.hear()
            if "rc" in answer:
                return int(str(answer["rc"]))
            sys.stdout.buffer.write(str(answer.get("out", "")).encode("latin-1"))
            sys.stdout.buffer.flush()

    def hear(self, within: float | None = None) -> dict[str, object]:
        """Return the next message; Stuck when none comes in time or the machine is gone."""
        while b"\n" not in self.pending:
            if not select.select([self.channel], [], [], within)[0]:
                raise Stuck("the machine is silent\n" + self.console())
            data = b""
            with contextlib.suppress(ConnectionResetError):
                data = self.channel.recv(65536)
            if not data:
                raise Stuck("the machine has stopped\n" + self.console())
            self.pending += data
        line, self.pending = self.pending.split(b"\n", 1)
        message: dict[str, object] = json.loads(line)
        return message

    def console(self) -> str:
        """Return the end of what the guest's kernel and systemd have said."""
        with contextlib.suppress(OSError):
            return (self.folder / "console").read_bytes()[-2000:].decode(errors="replace")
        return ""

    def monitor(self, command: str) -> None:
        """Give qemu's monitor a command and wait until it has been carried out."""
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.connect(str(self.folder / "monitor"))
            wait_for_prompt(monitor)
            monitor.sendall(command.encode() + b"\n")
            wait_for_prompt(monitor)

    def stop(self) -> None:
        self.channel.close()
        self.process.kill()
        self.process.wait()


def wait_for_prompt(monitor: socket.socket) -> None:
    seen = b""
    while b"(qemu) " not in seen:
        data = monitor.recv(4096)
        if not data:
            raise Stuck("qemu has ended")
        seen += data


def start(made: Path, disks: Sequence[Path], accelerator: str, *, resume: Path | None) -> Machine:
    """Start a guest with a root disk of its own over the image; booting, or resumed."""
    folder = Path(tempfile.mkdtemp(prefix="boxship-vm-"))
    root = folder / "root.qcow2"
    base = ("-b", str(made / "root.ext4"), "-F", "raw", str(root))
    if resume:
        run("cp", "--sparse=always", str(resume), str(root))
        run("qemu-img", "rebase", "-u", "-f", "qcow2", *base)  # the checkout may have been moved
    else:
        run("qemu-img", "create", "-q", "-f", "qcow2", *base)
    drives = [f"file={root},format=qcow2,cache=unsafe"]
    drives += [f"file={disk},format=raw,readonly=on" for disk in disks]
    command = [
        emulating(accelerator),
        "-M", "q35", "-accel", "kvm" if accelerator == "kvm" else "tcg,thread=multi",
        "-cpu", "max", "-smp", PROCESSORS, "-m", MEMORY,
        "-display", "none", "-no-reboot", "-nodefaults", "-serial", f"file:{folder}/console",
        "-kernel", str(made / "vmlinuz"), "-initrd", str(made / "initrd.gz"),
        "-append", KERNEL_ARGUMENTS,
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=channel,path={folder}/channel,server=on,wait=off",
        "-device", "virtserialport,chardev=channel,name=boxship",
        "-monitor", f"unix:{folder}/monitor,server=on,wait=off",
        "-object", "rng-random,id=random,filename=/dev/urandom",
        "-device", "virtio-rng-pci,rng=random",
    ]  # fmt: skip
    for number, drive in enumerate(drives):
        command += ["-drive", f"id=disk{number},if=none,{drive}"]
        command += ["-device", f"virtio-blk-pci,drive=disk{number}"]
    if resume:
        command += ["-loadvm", SNAPSHOT]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        return Machine(process, folder, connect(folder / "channel", process))
    except BaseException:
        process.kill()
        process.wait()
        raise


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def connect(path: Path, process: subprocess.Popen[bytes]) -> socket.socket:
    channel = socket.socket(socket.AF_UNIX)
    for _ in range(500):
        with contextlib.suppress(OSError):
            channel.connect(str(path))
            return channel
        if process.poll() is not None:
            break
        time.sleep(0.02)
    channel.close()
    raise Stuck("qemu did not start")


@contextlib.contextmanager
def machine(made: Path, disks: Sequence[Path]) -> Iterator[Machine]:
    """Give a guest that takes commands; one that gets stuck while it comes up is tried twice."""
    accelerator = accelerator_here(made)
    for last in (False, True):
        guest = None
        try:
            snapshot = ensure_snapshot(made, accelerator)
            guest = start(made, disks, accelerator, resume=snapshot)
            guest.channel.sendall(json.dumps({"argv": ["true"]}).encode() + b"\n")
            while "rc" not in guest.hear(within=SILENCE):
                pass
        except Stuck:
            if guest:
                discard(guest)
            if last:
                raise
            for old in made.glob("snapshot-*"):
                old.unlink()
            continue
        try:
            yield guest
        finally:
            discard(guest)
        return


def discard(guest: Machine) -> None:
    guest.stop()
    shutil.rmtree(guest.folder, ignore_errors=True)


def ensure_snapshot(made: Path, accelerator: str) -> Path:
    """Return the root disk that holds a booted machine, booting one if there is none."""
    qemu = emulating(accelerator)
    version = subprocess.run([qemu, "--version"], capture_output=True, check=True).stdout
    recipe = "\n".join((KERNEL_ARGUMENTS, MEMORY, PROCESSORS, SOURCE_DISK, ENVIRONMENT_DISK))
    name = hashlib.sha256(version + accelerator.encode() + recipe.encode()).hexdigest()[:12]
    snapshot = made / f"snapshot-{name}.qcow2"
    if snapshot.exists():
        return snapshot
    say("booting the machine, once")
    empty = []
    for number, size in enumerate((SOURCE_DISK, ENVIRONMENT_DISK)):
        empty.append(made / f"empty{number}")
        run("truncate", "-s", size, str(empty[-1]))
    guest = start(made, empty, accelerator, resume=None)
    try:
        hello = guest.hear(within=SILENCE * 2)
        assert "hello" in hello, hello
        guest.run(["systemctl", "is-system-running", "--wait"])
        guest.monitor(f"savevm {SNAPSHOT}")
        guest.stop()
        shutil.move(guest.folder / "root.qcow2", snapshot)
    finally:
        discard(guest)
    return snapshot


def emulating(accelerator: str) -> str:
    """Return the program of the machine: a newer one than the host's where that is faster."""
    newer = emulator.ensure(CACHE) if accelerator == "tcg" else None
    return str(newer or emulator.OWN)


def accelerator_here(made: Path) -> str:
    """Return kvm if a stock kernel boots on this host's, else tcg; asked once for each kernel."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    kept = made / f"accelerator-{os.uname().release}"
    if not kept.exists():
        probe = [
            "timeout", "8", emulator.OWN, "-M", "q35", "-accel", "kvm", "-cpu", "max", "-m", "256",
            "-display", "none", "-no-reboot", "-nodefaults", "-serial", "stdio",
            "-kernel", str(made / "vmlinuz"), "-append", "console=ttyS0 panic=-1",
        ]  # fmt: skip
        shown = subprocess.run(probe, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        kept.write_text("kvm" if b"VFS: " in shown.stdout else "tcg")
    return kept.read_text()


def source_disk(folder: Path) -> Path:
    """Write the checkout, as it is now, to a disk; compiled modules spare the guest work."""
    stage = folder / "source"
    shutil.copytree(CHECKOUT, stage, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (stage / CLIENTS).mkdir()
    if docker := shutil.which("docker"):  # a static program
        shutil.copy(docker, stage / CLIENTS / "docker")
    for name in FETCHED:
        if (found := CHECKOUT / FETCHED_INTO / name).exists():
            (stage / FETCHED_INTO / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, stage / FETCHED_INTO / name)
    disk = folder / "source.ext4"
    image.make_disk(disk, stage, SOURCE_DISK)
    shutil.rmtree(stage)
    return disk


def environment_disk() -> Path:
    """Return a disk with the virtual environment, kept until its packages change."""
    names = sorted(path.name for path in (CHECKOUT / ".venv/lib").glob("*/site-packages/*"))
    name = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    disk = CACHE / f"environment-{name}.ext4"
    if not disk.exists():
        for old in CACHE.glob("environment-*"):
            old.unlink()
        beside = disk.with_suffix(".new")
        image.make_disk(beside, CHECKOUT / ".venv", ENVIRONMENT_DISK)
        beside.rename(disk)
    return disk


def in_guest(command: Sequence[str], **environment: str) -> int:
    """Run a command in the checkout's folder in a fresh guest; return its exit status."""
    with tempfile.TemporaryDirectory(prefix="boxship-vm-disks-") as folder:
        with alone():
            say("looking for the image; one that is missing is built, which takes minutes")
            made = image.ensure(CACHE)
            disks = [source_disk(Path(folder)), environment_disk()]
            ensure_snapshot(made, accelerator_here(made))
        with machine(made, disks) as guest:
            prepare = f"set -e\ndate --utc --set @{time.time():.0f} >/dev/null\n{MOUNTS}"
            if guest.run(["sh", "-c", prepare]):
                raise Stuck("the disks cannot be mounted in the guest")
            return guest.run(command, cwd="/src", **environment)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the cache against others that would fill it meanwhile, and clear what was cut short."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for unfinished in CACHE.glob("building-*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        yield


def run_tests(arguments: Sequence[str]) -> int:
    """Run pytest in a guest; without arguments, all that is about the kernel and whole programs."""
    if not arguments:
        spare_the_guest()
    chosen = list(arguments) or [*AT_ONCE, *WHAT]
    command = [
        ".venv/bin/python", "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.vm.telling",
        "--timeout", str(LIMIT), *chosen,
    ]  # fmt: skip
    path = f"/src/{CLIENTS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    environment = {
        "PYTHONPATH": "/src/src:/src",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": "/root",
        "PATH": path,
        "TEST_PATIENCE": str(PATIENCE),
    }
    return in_guest(command, **environment)


def spare_the_guest() -> None:
    """Have pytest compile the tests here, where that is fast; the results go along with them."""
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", *WHAT]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    done = subprocess.run(
        collect, cwd=CHECKOUT, env=environment, stdout=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        say("not all tests can be collected")


def say(text: str) -> None:
    print(f"vm: {text}", file=sys.stderr, flush=True)


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def main(arguments: Sequence[str]) -> int:
    match list(arguments):
        case ["build"]:
            with alone():
                say(f"the image is {image.ensure(CACHE)}")
            return 0
        case ["run", *rest]:
            return run_tests(rest)
        case ["exec", *rest] if rest:
            say(f"running {shlex.join(rest)}")
            return in_guest(rest)
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
