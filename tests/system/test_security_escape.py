"""Ways out of a container that real engines had: the runtime's program, descriptors, cgroups."""

from __future__ import annotations

import hashlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from tests.support.engine import CHECKOUT, PATIENCE, Engine
from tests.support.waiting import wait_until
from tests.system.conftest import IMAGE, Start, inside, put_file
from tests.system.test_security import HOST_TOOLS, PYTHON

pytestmark = pytest.mark.usefixtures("unharmed")
CANARY = "of the host, and of nobody else"
UP = "../" * 16


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "canary"
    path.write_text(CANARY)
    before = path.stat()
    yield path
    assert path.read_text() == CANARY
    assert (path.stat().st_mode, path.stat().st_ino) == (before.st_mode, before.st_ino)


# SEC-01: the runtime's own program

OVERWRITER = """
import os, sys
told = set()
print("begun", flush=True)
while not os.path.exists("/tmp/enough"):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        path = f"/proc/{pid}/exe"
        try:
            where = os.readlink(path)
            if where not in told:
                told.add(where)
                print("SAW", pid, where, flush=True)
            os.write(os.open(path, os.O_WRONLY), b"#!/bin/evil\\n")
            print("WROTE", where, flush=True)
        except OSError:
            pass
"""


def programs_of_ours() -> str:
    """Return one digest of the interpreter, our scripts, and the helpers of the host."""
    whole = hashlib.sha256()
    helpers = [Path(f"/usr/{place}/{name}") for place in ("bin", "sbin")
               for name in ("python3", "env", "ip", "nft", "git", "mount", "runc")]  # fmt: skip
    scripts = sorted((CHECKOUT / "src/boxship").rglob("*.py"))
    for path in (Path(os.path.realpath(sys.executable)), *helpers, *scripts):
        if path.exists():
            status = path.stat()
            content = path.read_bytes() if path not in scripts else b""
            whole.update(f"{path} {status.st_ino} {status.st_size} {status.st_mode}".encode())
            whole.update(content)
    return whole.hexdigest()


@pytest.mark.parametrize("rounds", [15, pytest.param(500, marks=pytest.mark.slow)])
def test_sec_01_no_program_of_the_engine_is_overwritten(start: Start, rounds: int) -> None:
    before = programs_of_ours()
    container = start(*PYTHON, OVERWRITER, volumes=HOST_TOOLS, cap_add=["SYS_PTRACE"])
    wait_until(lambda: b"begun" in container.logs())
    for _ in range(rounds):
        container.exec_run(["true"])
    container.exec_run(["touch", "/tmp/enough"])
    container.wait(timeout=60 * PATIENCE)
    said = container.logs().decode().splitlines()
    assert [line for line in said if line.startswith("WROTE")] == []
    seen = {line.split(" ", 2)[2] for line in said if line.startswith("SAW")}
    assert seen, said
    allowed = (
        "/usr/bin/",
        "/bin/",
        "/memfd:boxship",
    )  # what it has of the host; the last is sealed
    assert [path for path in seen if not path.startswith(allowed)] == []
    assert programs_of_ours() == before


@pytest.mark.parametrize("way", ["run", "exec"])
def test_sec_01_a_program_that_is_whoever_starts_it(engine: Engine, start: Start, way: str) -> None:
    """`#!/proc/self/exe` would have the runtime execute itself, inside."""
    before = programs_of_ours()
    container = start()
    put_file(container, "/evil", b"#!/proc/self/exe\nx\n", 0o755)
    if way == "exec":
        done = engine.docker("exec", container.id, "/evil", check=False)
    else:
        image = container.commit(f"evil-{container.id[:12]}")
        done = engine.docker("run", "--rm", image.id, "/evil", check=False)
        engine.docker("rmi", "-f", image.id)
    assert done.returncode != 0
    assert "boxship" not in done.stdout.lower()
    assert inside(container, "readlink", "/proc/1/exe").startswith("/bin/")
    assert programs_of_ours() == before


# SEC-02: descriptors that nobody closed

NUMBERS = [
    pytest.param(range(3, 24), id="some"),
    pytest.param(range(3, 129), id="all", marks=pytest.mark.slow),
]


def climb(canary: Path) -> list[str]:
    """A command that shows the canary if it runs in a folder of the host's."""
    return ["sh", "-c", f"ls -a; cat {UP}{str(canary).lstrip('/')}; true"]


@pytest.mark.parametrize("numbers", NUMBERS)
def test_sec_02_no_working_folder_is_a_descriptors(
    api: docker.DockerClient, start: Start, canary: Path, numbers: range
) -> None:
    """Run and exec, by name and by a link of the container's."""
    container = start()
    for number in numbers:
        path = f"/proc/self/fd/{number}"
        assert CANARY.encode() not in container.exec_run(climb(canary), workdir=path).output
        inside(container, "ln", "-sfn", path, "/link")
        assert CANARY.encode() not in container.exec_run(climb(canary), workdir="/link").output
        if number % 5 == 3:
            made = api.containers.create(IMAGE, climb(canary), working_dir=path)
            try:
                made.start()
                made.wait(timeout=60 * PATIENCE)
            except docker.errors.APIError:
                pass
            assert CANARY.encode() not in made.logs()
            made.remove(force=True)
    fresh = inside(container, "sh", "-c", "ls /proc/self/fd")
    assert fresh.split() == ["0", "1", "2", "3"]  # the last is ls's own


@pytest.mark.parametrize("numbers", NUMBERS)
def test_sec_02_no_probe_runs_in_a_descriptors_folder(
    start: Start, canary: Path, numbers: range
) -> None:
    """The folder becomes a link when the container runs; its probes go there."""
    check = {"test": ["CMD", *climb(canary)], "interval": 60 * 10**6, "retries": 1000}
    swapper = "rmdir /w; while :; do {}; done"
    links = "; ".join(f"ln -sfn /proc/self/fd/{number} /w; usleep 60000" for number in numbers)
    container = start("sh", "-c", swapper.format(links), working_dir="/w", healthcheck=check)
    seen: set[str] = set()

    def enough() -> bool:
        container.reload()
        log = container.attrs["State"]["Health"]["Log"]
        seen.update(one["Start"] for one in log)
        assert not [one for one in log if CANARY in one["Output"]]
        return len(seen) >= min(len(numbers), 40)

    wait_until(enough)


@pytest.mark.parametrize("numbers", NUMBERS)
def test_sec_02_no_step_of_a_build_runs_in_a_descriptors_folder(
    engine: Engine, canary: Path, numbers: range, tmp_path: Path
) -> None:
    """All at once: stages that do not need each other; what one of them says fails the build."""
    for number in itertools.islice(numbers, None, None, 4 if len(numbers) < 50 else 1):
        climbs = f"cat {UP}{str(canary).lstrip('/')} && exit 77 || true"
        text = f"FROM {IMAGE}\nWORKDIR /proc/self/fd/{number}\nRUN {climbs}\n"
        (tmp_path / "Dockerfile").write_text(text)
        done = engine.boxship("build", "--no-cache", str(tmp_path), check=False)
        assert "exit code: 77" not in done.stderr, done.stderr
        assert CANARY not in done.stdout + done.stderr


# SEC-11: release_agent

V1 = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.makedirs("/tmp/cg", exist_ok=True)

def attempt(what):
    for name in (b"rdma", b"misc", b"memory", b"pids"):
        if libc.mount(b"cgroup", b"/tmp/cg", b"cgroup", 0, name) == 0:
            there = os.path.exists("/tmp/cg/release_agent")
            print("MOUNTED", what, name.decode(), "agent" if there else "", flush=True)
            if there:
                try:
                    open("/tmp/cg/release_agent", "w").write("/bin/false")
                    print("WROTE", what, flush=True)
                except OSError:
                    pass
            libc.umount(b"/tmp/cg")

attempt("as it is")
for flags in (0x10000000 | 0x20000 | 0x02000000, 0x02000000):
    if libc.unshare(flags) == 0:
        print("UNSHARED", hex(flags), flush=True)
        attempt("apart")
print("done", flush=True)
"""


@pytest.mark.parametrize("rights", [[], ["SYS_ADMIN"]], ids=["usual", "with SYS_ADMIN"])
def test_sec_11_no_release_agent_is_written(start: Start, rights: list[str]) -> None:
    container = start(*PYTHON, V1, volumes=HOST_TOOLS, cap_add=rights, cgroupns="private")
    container.wait(timeout=60 * PATIENCE)
    said = container.logs().decode()
    assert "done" in said
    assert "WROTE" not in said
    assert "agent" not in said
    if not rights:
        assert said == "done\n"


# SEC-16: what the kernel shows

MASKED = (
    "/proc/kcore", "/proc/acpi", "/proc/scsi", "/proc/timer_list", "/proc/keys",
    "/sys/firmware", "/sys/devices/virtual/powercap",
)  # fmt: skip
READ_ONLY = ("/proc/sysrq-trigger", "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys")
LOOK = """
for p in {masked}; do
    [ -e $p ] || continue
    umount $p && echo UNMOUNTED $p
    if [ -d $p ]; then ls -A $p; echo x > $p/new && echo WROTE $p; continue; fi
    head -c 9 $p
    [ -c $p ] || echo x > $p && [ ! -c $p ] && echo WROTE $p  # or it is /dev/null
done 2>/dev/null
for p in {readonly}; do
    mount -o remount,rw $p && echo WRITABLE $p
    umount $p && echo UNMOUNTED $p
    [ -d $p ] && p=$p/new
    echo b > $p && echo WROTE $p
done 2>/dev/null
echo looked
""".format(masked=" ".join(MASKED), readonly=" ".join(READ_ONLY))


def test_sec_16_masks_hold_in_run_exec_and_after_a_restart(start: Start) -> None:
    def run() -> Container:
        return start("sh", "-c", LOOK + "exec sleep 3600")

    container = run()
    wait_until(lambda: b"looked" in container.logs())
    assert container.logs() == b"looked\n"
    assert inside(container, "sh", "-c", LOOK) == "looked"
    code, output = container.exec_run(["sh", "-c", LOOK], privileged=False, user="0")
    assert (code, output) == (0, b"looked\n")
    container.restart(timeout=0)
    wait_until(lambda: container.logs().count(b"looked") == 2)
    assert container.logs() == b"looked\nlooked\n"
    assert inside(container, "sh", "-c", LOOK) == "looked"
