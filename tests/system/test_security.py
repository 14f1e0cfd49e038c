"""Attacks on a whole engine, with the host's own tools inside the container to carry them out."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import io
import lzma
import os
import re
import subprocess
import tarfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
import zstandard
from docker.models.containers import Container
from tests.support import images
from tests.support.engine import PATIENCE, Engine
from tests.system.conftest import Start, inside

pytestmark = pytest.mark.usefixtures("unharmed")
HOST_TOOLS = [f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64") if os.path.exists(path)]
PYTHON = ("/usr/bin/python3", "-I", "-S", "-c")
CALLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for name, number, *arguments in (
    ("unshare", 272, 0x10000000), ("unshare net", 272, 0x40000000), ("mount", 165, 0, 0, 0, 0, 0),
    ("fsopen", 430, b"ext4", 0), ("fsconfig", 431, 0, 0, 0, 0, 0),
    ("open_tree", 428, -100, b"/", 1), ("keyctl", 250, 0, -3, 0),
    ("add_key", 248, b"user", b"x", b"y", 1, -3), ("bpf", 321, 0, 0, 0), ("userfaultfd", 323, 0),
    ("io_uring_setup", 425, 1, 0), ("open_by_handle_at", 304, -100, 0, 0), ("setns", 308, 0, 0),
    ("kexec_load", 246, 0, 0, 0, 0), ("perf_event_open", 298, 0, 0, -1, -1, 0),
    ("init_module", 175, 0, 0, b""), ("pivot_root", 155, b"/", b"/"),
    ("socket ALG", 41, 38, 5, 0), ("socket VSOCK", 41, 40, 1, 0), ("swapon", 167, b"/x", 0),
    ("reboot", 169, 0, 0, 0, 0), ("clone", 56, 0x10000011, 0, 0, 0, 0),
    ("umount2", 166, b"/proc", 2), ("chroot ok", 161, b"/"),
):
    ctypes.set_errno(0)
    result = libc.syscall(number, *arguments)
    print(name, "=", -ctypes.get_errno() if result < 0 else "done")
"""


@pytest.fixture
def armed(start: Start) -> Start:
    """Start a container that has the host's programs, to attack with."""

    def run(*command: str, **options: object) -> object:
        return start(*command, volumes=HOST_TOOLS, **options)

    return run  # type: ignore[return-value]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="system calls by their x86-64 numbers")
@pytest.mark.parametrize("way", ["run", "exec", "exec as a user"])
def test_sec_12_the_ways_to_kernel_bugs_are_shut(armed: Start, way: str) -> None:
    if way == "run":
        container = armed(*PYTHON, CALLS)
        container.wait()
        said = container.logs().decode()
    else:
        user = "1000" if way.endswith("user") else ""
        said = armed().exec_run([*PYTHON, CALLS], user=user).output.decode()
    found = dict(line.split(" = ") for line in said.splitlines())
    assert len(found) == 24
    chroot = found.pop("chroot ok")
    assert chroot == ("done" if not way.endswith("user") else f"-{errno.EPERM}")
    refused = {f"-{one}" for one in (errno.EPERM, errno.ENOSYS, errno.EAFNOSUPPORT)}
    assert {name: answer for name, answer in found.items() if answer not in refused} == {}


def test_sec_14_no_abstract_socket_of_the_engine_exists(engine: Engine, start: Start) -> None:
    """Every process of the engine's, and what it is connected to, by the kernel's own list."""
    start(network_mode="host")
    root = str(engine.root)
    named = {}
    with open("/proc/net/unix", encoding="ascii", errors="replace") as file:
        for line in file:
            words = line.split()
            if len(words) > 7 and words[7].startswith("@"):
                named[words[6]] = words[7]
    seen = 0
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if root not in Path(f"/proc/{entry}/cmdline").read_text(errors="replace"):
                continue
            seen += 1
            for link in Path(f"/proc/{entry}/fd").iterdir():
                found = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(link))
                assert not found or found[1] not in named, f"{entry} has {named}"
    assert seen >= 1


HUNTER = """
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
with open("/proc/self/mountinfo") as file:
    lines = [line.split() for line in file]
devices = {os.makedev(*map(int, words[2].split(":"))) for words in lines}
tools = os.stat("/usr").st_dev  # the host's, but only these folders of it
nameless = ("socket:", "pipe:", "anon_inode:", "net:", "mnt:")
told, traced, end = set(), 0, time.monotonic() + 1200

def judge(pid, link):
    where = os.readlink(link)
    if where.startswith(nameless):
        return
    if where.startswith("/memfd:boxship"):
        try:
            os.write(os.open(link, os.O_WRONLY), b"x")
            print("FOUND a program that can be written", flush=True)
        except PermissionError:
            pass
        return
    device = os.stat(link).st_dev
    inside = device in devices and (device != tools or where.startswith(("/usr/", "/lib")))
    if not inside and where not in told:
        told.add(where)
        print("FOUND", pid, link, where, flush=True)

while time.monotonic() < end and not os.path.exists("/tmp/enough"):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) == os.getpid():
            continue
        for name in ("fd", "root", "cwd", "exe"):
            at = f"/proc/{pid}/{name}"
            try:
                for link in [f"{at}/{n}" for n in os.listdir(at)] if name == "fd" else [at]:
                    judge(pid, link)
            except OSError:
                pass
        if libc.ptrace(16, int(pid), 0, 0) == 0:
            try:
                os.waitpid(int(pid), 0x40000000)
                traced += 1
            except OSError:
                pass
            libc.ptrace(17, int(pid), 0, 0)
            try:
                os.kill(int(pid), 18)  # should it have been stopped by something else meanwhile
            except OSError:
                pass
print("traced", traced, flush=True)
"""


@pytest.mark.parametrize("rounds", [6, pytest.param(1000, marks=pytest.mark.slow)])
def test_sec_04_nothing_is_taken_from_who_enters(armed: Start, rounds: int) -> None:
    """A program that may trace everything in there looks at all that come, before they run."""
    container = armed(*PYTHON, HUNTER, cap_add=["SYS_PTRACE"])
    for _ in range(rounds):
        container.exec_run(["true"], workdir="/tmp")
    container.exec_run(["touch", "/tmp/enough"])
    container.wait()
    said = container.logs().decode()
    assert "traced " in said
    assert [line for line in said.splitlines() if line.startswith("FOUND")] == []


RIGHTS_HUNTER = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
canary, allowed = sys.argv[1], int(sys.argv[2], 16)
ATTACH, DETACH = 16, 17
seen, traced, end = set(), 0, time.monotonic() + 1200

def judge(pid):
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status") if ":" in line)
    for field in ("CapPrm", "CapEff", "CapInh", "CapBnd"):
        if int(status[field], 16) & ~allowed:
            print("FOUND", pid, field, status[field].strip(), flush=True)
    for number in os.listdir(f"/proc/{pid}/fd"):
        link = f"/proc/{pid}/fd/{number}"
        where = os.readlink(link)
        if where.startswith(("mnt:", "net:", "pid:")) or os.path.exists(link + canary):
            print("FOUND", pid, number, where, flush=True)
    for name in ("root", "cwd", "root/..", "root/proc/self/root"):
        if os.path.exists(f"/proc/{pid}/{name}{canary}"):
            print("FOUND", pid, name, flush=True)

print("hunting", flush=True)
while time.monotonic() < end and not os.path.exists("/tmp/enough"):
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        if pid == os.getpid():
            continue
        attached = libc.ptrace(ATTACH, pid, 0, 0) == 0
        try:
            if attached:
                os.waitpid(pid, 0x40000000)
                traced += 1
            judge(pid)
            seen.add(pid)
        except OSError:
            pass
        if attached:
            libc.ptrace(DETACH, pid, 0, 0)
            try:
                os.kill(pid, 18)
            except OSError:
                pass
print("traced", traced, "seen", len(seen), flush=True)
"""


@pytest.mark.parametrize("rounds", [5, pytest.param(300, marks=pytest.mark.slow)])
def test_sec_04_who_joins_anothers_processes_has_nothing_left_to_take(
    engine: Engine, armed: Start, start: Start, rounds: int
) -> None:
    """A program that may trace everything looks at each that joins it, from its first moment."""
    canary = engine.root / "canary"
    canary.write_text("of the host")
    own = int(inside_of_host(start(cap_add=["SYS_PTRACE"]), "CapBnd"), 16)
    tracer = armed(*PYTHON, RIGHTS_HUNTER, str(canary), f"{own:x}", cap_add=["SYS_PTRACE"])
    deadline = time.monotonic() + 60 * PATIENCE
    while b"hunting" not in tracer.logs():
        assert time.monotonic() < deadline
    shared = f"container:{tracer.id}"
    for _ in range(rounds):
        joined = start("sleep", "0.2", pid_mode=shared, sysctls={"net.core.somaxconn": "77"})
        joined.wait(timeout=60 * PATIENCE)
    tracer.exec_run(["touch", "/tmp/enough"])
    tracer.wait(timeout=60 * PATIENCE)
    said = tracer.logs().decode()
    assert int(said.rpartition("seen ")[2]) >= rounds
    assert [line for line in said.splitlines() if line.startswith("FOUND")] == []


HOLDER = """
import ctypes, os, signal
libc = ctypes.CDLL(None, use_errno=True)
ATTACH, DETACH = 16, 17
ATTEMPTS = range(50)
load = os.open("/proc/loadavg", os.O_RDONLY)
while True:
    pid = int(os.pread(load, 99, 0).split()[-1]) + 1  # the next one's
    if all(libc.ptrace(ATTACH, pid, 0, 0) for _ in ATTEMPTS):
        continue
    try:
        os.waitpid(pid, 0x40000000)
        if "memfd:boxship" in os.readlink(f"/proc/{pid}/exe"):
            print("held", flush=True)
            while True:
                signal.pause()
    except OSError:
        pass
    libc.ptrace(DETACH, pid, 0, 0)
    try:
        os.kill(pid, signal.SIGCONT)
    except OSError:
        pass
"""


def open_files(pid: int) -> Counter[str]:
    """Return what kinds of files a process has open now, and how many of each.

    Its watch for a lack of memory, which comes a moment after the start, does not count.
    """
    found = Counter[str]()
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            name = os.readlink(f"/proc/{pid}/fd/{number}")
            if not any(word in name for word in ("memory.", "eventfd", "inotify")):
                found[name.partition(":[")[0]] += 1
    return found


def inside_of_host(container: Container, field: str) -> str:
    """Return what the host's kernel says of a container's first process."""
    status = Path(f"/proc/{container.attrs['State']['Pid']}/status").read_text()
    return next(line for line in status.splitlines() if line.startswith(field)).split()[1]


def hold_one(container: Container, within: float = 60 * PATIENCE) -> Future[str]:
    """Begin execs until the container's program holds one up; return what becomes of that one."""
    api = container.client.api
    deadline = time.monotonic() + within

    def start_one(identifier: str) -> str:
        try:
            return str(api.exec_start(identifier, detach=True))
        except docker.errors.APIError as failure:
            return str(failure)

    pool = ThreadPoolExecutor(1)
    while time.monotonic() < deadline:
        done = pool.submit(start_one, api.exec_create(container.id, ["true"])["Id"])
        while not done.done():
            if b"held" in container.logs():
                pool.shutdown(wait=False)
                return done
    raise AssertionError("nothing was held up")


def test_sec_04_a_tracer_can_hold_an_exec_for_ten_seconds_and_nothing_else(
    engine: Engine, armed: Start, start: Start
) -> None:
    """The keeper goes on meanwhile, and afterwards the one that was held up is gone."""
    container, other = armed(*PYTHON, HOLDER, cap_add=["SYS_PTRACE"]), start()
    keeper = int(inside_of_host(container, "PPid"))
    before = open_files(keeper)
    answer = hold_one(container)
    assert inside(other, "echo", "there") == "there"
    assert container.logs() == b"held\n"
    assert container.exec_run(["echo", "more"]).output == b"more\n"
    assert not answer.done()
    assert "did not come to its program within 10 seconds" in answer.result(30 * PATIENCE)
    assert container.exec_run(["echo", "again"]).output == b"again\n"
    deadline = time.monotonic() + 30 * PATIENCE
    while (left := open_files(keeper)) != before:
        assert time.monotonic() < deadline, left - before
    container.kill()
    assert container.wait()["StatusCode"] == 137
    assert engine.boxship("system", "check", check=False).returncode == 0


def test_sec_04_a_tracer_can_hold_who_joins_its_processes_and_no_more(
    engine: Engine, armed: Start
) -> None:
    """A container that shares the tracer's processes: its start fails, or its end is seen."""
    tracer = armed(*PYTHON, HOLDER, cap_add=["SYS_PTRACE"])
    words = ("run", "-d", "--pid", f"container:{tracer.id}", "busybox", "sleep", "3600")
    deadline = time.monotonic() + 60 * PATIENCE
    while b"held" not in tracer.logs():
        assert time.monotonic() < deadline
        done = engine.docker(*words, check=False)
    assert "did not come to its program within 10 seconds" in done.stderr
    ids = engine.docker("ps", "-aq", "--no-trunc").stdout.split()
    joined = [one for one in ids if one != tracer.id]
    engine.docker("rm", "-f", *joined)
    assert engine.docker("ps", "-aq", "--no-trunc").stdout.split() == [tracer.id]


def test_sec_04_a_container_that_holds_an_exec_can_be_removed(armed: Start) -> None:
    container = armed(*PYTHON, HOLDER, cap_add=["SYS_PTRACE"])
    answer = hold_one(container)
    container.remove(force=True)
    assert "did not come to its program" not in answer.result(
        30 * PATIENCE
    )  # it was told of the end


def test_sec_15_what_the_engine_keeps_is_shut_to_the_hosts_users(
    engine: Engine, start: Start
) -> None:
    start()
    before = engine.root.stat().st_mode
    engine.root.chmod(0o755)
    try:
        told = subprocess.run(
            ["find", *(str(engine.root / name) for name in ("data", "x")), "-mindepth", "1"],
            user=65534, group=65534, extra_groups=[], capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        engine.root.chmod(before)
    assert told.stdout == ""
    assert told.stderr.count("Permission denied") == 2


@pytest.fixture
def marker(name: str) -> Iterator[Path]:
    path = Path(f"/run/marker-{os.getpid()}-{name}")
    yield path
    path.unlink(missing_ok=True)


def test_sec_03_nothing_of_a_containers_is_executed_or_loaded(
    engine: Engine, start: Start, marker: Path, tmp_path: Path
) -> None:
    """Programs, libraries and modules in the root that would leave a mark on the host."""
    script = f"#!/bin/sh\ntouch {marker}\n".encode()
    module = f"open({str(marker)!r}, 'w')\n".encode()
    poison = {
        **{f"usr/bin/{name}": script for name in
           ("xz", "unpigz", "gzip", "zstd", "tar", "git", "nsenter", "ps", "id", "python3", "sh",
            "bzip2", "mount", "cp", "env")},
        **{f"usr/sbin/{name}": script for name in ("ip", "nft", "iptables", "runc")},
        **{f"lib/{name}": script for name in
           ("libnss_files.so.2", "libnss_dns.so.2", "libc.so.6", "ld-linux-x86-64.so.2")},
        "usr/lib/gconv/gconv-modules": script,
        **{f"usr/lib/python3.11/{name}.py": module for name in
           ("sitecustomize", "usercustomize", "encodings/__init__", "os", "site")},
        "etc/ld.so.preload": b"/lib/libnss_files.so.2\n",
        "etc/nsswitch.conf": b"passwd: files\n",
    }  # fmt: skip
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path, data in poison.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode = len(data), 0o755
                archive.addfile(entry, io.BytesIO(data))
        data = buffer.getvalue()
    check = {"test": ["CMD", "true"], "interval": 10**8}
    container = start(healthcheck=check, user="root:root", init=True)
    for pack in (bytes, gzip.compress, lzma.compress, zstandard.compress, bz2.compress):
        assert container.put_archive("/", pack(data))
    inside(container, "true")
    container.exec_run(["true"], user="root")
    container.top()
    container.stats(stream=False)
    container.diff()
    assert b"".join(container.get_archive("/usr")[0])
    assert b"".join(container.export())
    deadline = time.monotonic() + 30 * PATIENCE
    while not container.attrs["State"]["Health"]["Log"] and time.monotonic() < deadline:
        container.reload()
    made = f"poisoned-{container.id[:12]}"
    image = container.commit(made)
    engine.docker("run", "--rm", "-w", "/usr", "-u", "root", made, "true")
    engine.docker("cp", f"{container.id}:/usr/bin", str(tmp_path / "out"))
    engine.docker("cp", str(tmp_path / "out"), f"{container.id}:/usr/in")
    (tmp_path / "layer.tar.xz").write_bytes(lzma.compress(data))
    (tmp_path / "Dockerfile").write_text(
        f"FROM {made}\nADD layer.tar.xz /more/\nCOPY out /out\nRUN true\n"
        "HEALTHCHECK CMD true\nUSER root\nRUN --mount=type=cache,target=/cache id\n"
    )
    engine.boxship("build", "--no-cache", "-t", f"{made}:built", str(tmp_path))
    engine.docker("run", "--rm", f"{made}:built", "true")
    container.restart(timeout=0)
    inside(container, "true")
    engine.docker("rmi", "-f", f"{made}:built", image.id, check=False)
    assert not marker.exists()


def test_sec_25_a_huge_passwd_costs_neither_time_nor_memory(engine: Engine, start: Start) -> None:
    container = start()
    inside(container, "sh", "-c", "rm /etc/passwd; truncate -s 4G /etc/passwd")
    assert engine.process is not None
    status = Path(f"/proc/{engine.process.pid}/status")

    def peak() -> int:
        return int(status.read_text().split("VmHWM:")[1].split()[0])

    before = peak()
    done = engine.docker("exec", "-u", "web", container.id, "true", check=False)
    assert done.returncode
    container.stop(timeout=0)
    assert engine.docker("start", container.id, check=False).returncode
    assert peak() - before < 16 << 10


STEERING = {
    "boxship.privileged": "true",
    "com.boxship.hooks": '[{"path":"/bin/sh","args":["sh","-c","id"]}]',
    "io.boxship.mounts": "/:/host",
    "com.docker.privileged": "true",
    "com.docker.network.bridge": "host",
    "com.docker.swarm.task.id": "1",
    "io.podman.annotations.privileged": "TRUE",
    "io.podman.annotations.seccomp": "unconfined",
    "io.containers.trace-syscall": "of:/tmp/trace",
    "io.containerd.runc.v2.group": "1",
    "io.katacontainers.config.hypervisor.path": "/bin/sh",
    "run.oci.hooks.stderr": "/dev/stderr",
    "run.oci.keep_original_groups": "1",
    "org.systemd.property.DeviceAllow": "[('/dev/sda', 'rwm')]",
    "org.opencontainers.image.stopSignal": "9",
    "cdi.k8s.io/all": "vendor.com/device=all",
    "devices.nri.io/container": "- path: /dev/mem",
}


def test_sec_18_labels_and_annotations_of_an_image_steer_nothing(
    engine: Engine, api: docker.DockerClient, name: str
) -> None:
    """What runtimes, plugins and orchestrators have read from images is text here."""
    layer = images.archive(("etc/x", b"", {}))
    bundles = []
    for kind, labels in (("plain", {"kept": "1"}), ("steering", STEERING)):
        document = images.config([layer], config={"Cmd": ["/absent"], "Labels": labels})
        manifest = images.manifest(document, [layer], annotations=labels)
        tag = {"io.containerd.image.name": f"docker.io/library/{kind}:{name}"}
        target = (manifest, "manifest.v1+json", {"annotations": {**labels, **tag}})
        list(api.images.load(images.layout([target], [layer, document, manifest])))
        container = api.containers.create(f"{kind}:{name}", hostname="same")
        try:
            assert container.labels == labels
            with pytest.raises(docker.errors.APIError, match="absent"):
                container.start()
            bundle = (engine.root / "data/containers" / container.id / "config.json").read_text()
            bundles.append(bundle.replace(container.id, "ID").replace(container.id[:12], "ID"))
        finally:
            container.remove(force=True)
            api.images.remove(f"{kind}:{name}")
    assert bundles[0] == bundles[1]
    assert not any(key in bundles[1] for key in ("hooks", *STEERING))
