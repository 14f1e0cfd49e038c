"""Builds in whose middle the daemon, the client or a process's keeper is killed.

Afterwards nothing is left, the cache can be used, and the next build is right.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from tests.support.doors import DOORS, begin, build
from tests.support.engine import PATIENCE, SPREAD, Engine, engine_number, private_engine
from tests.support.gitrepo import Repository
from tests.support.websites import Asked, Page, repositories, site

LONG = (pytest.mark.slow, pytest.mark.timeout(3600))
ROUNDS = pytest.mark.parametrize("rounds", [3, pytest.param(50, marks=LONG)], ids=str)
MOST = 1.2  # seconds into the builds
FIRST = "FROM busybox:latest\nRUN cat /proc/sys/kernel/random/uuid > /once\n"
STEPS = """
FROM busybox:latest AS a
RUN --mount=type=cache,target=/c,id=crash echo {n} >> /c/log; sleep 0.2; echo {n} > /a
FROM busybox:latest AS b
COPY . /files/
RUN for f in 1 2 3 4 5 6; do echo {n}$f > /b$f; sleep 0.05; done
FROM busybox:latest
COPY --from=a /a /a
COPY --from=b /b1 /b6 /files /b/
RUN cat /a /b/b1 /b/b6 > /all
"""


@pytest.fixture(scope="module")
def victim() -> Iterator[Engine]:
    """An engine that is killed again and again; it must leave nothing in the end."""
    with private_engine(engine_number() + SPREAD) as made:
        made.boxship("image", "bootstrap", "busybox")
        yield made


def context(folder: Path, number: int) -> Path:
    """A context with a few files, of which one is new each time."""
    folder.mkdir(exist_ok=True)
    (folder / "Dockerfile").write_text(STEPS.format(n=number))
    (folder / "new").write_text(str(number))
    if not (folder / "large").exists():
        (folder / "large").write_bytes(os.urandom(4 << 20))
    return folder


def wait_until(true: Callable[[], object], shown: Callable[[], object] | None = None) -> None:
    deadline = time.monotonic() + 30 * PATIENCE
    while not true():
        assert time.monotonic() < deadline, f"it did not come to be: {shown() if shown else true}"
        time.sleep(0.02)


def traces(engine: Engine) -> dict[str, list[str]]:
    """Return what the engine has, of which builds leave nothing while it stands still."""
    found = engine.ledger()
    data, run = engine.root / "data/build", engine.root / "x/b"
    return {
        "mounts": sorted(found.mounts),
        "namespaces": sorted(found.namespaces),
        "groups": sorted({os.path.basename(group) for group in found.cgroups}),
        "folders": sorted(os.listdir(data / "contexts")) if (data / "contexts").exists() else [],
        "runs": sorted(set(os.listdir(run)) - {".place"}) if run.exists() else [],
        "links": [
            one for one in os.listdir("/sys/class/net") if one.startswith(f"v{engine.bridge}")
        ],
        "processes": sorted(one for one in found.processes if "git" in one or "sleep" in one),
    }


def unrecorded(engine: Engine) -> set[str]:
    """Return the folders of the build cache that the engine does not tell of."""
    there = set(os.listdir(engine.root / "data/build/folders"))
    with contextlib.closing(docker.APIClient(engine.host, version="1.44")) as api:
        return there - {one["ID"] for one in api.df()["BuildCache"]}


def clean(engine: Engine) -> None:
    """Wait until nothing is left of builds, and make sure that the engine agrees."""
    wait_until(lambda: not any(traces(engine).values()), lambda: traces(engine))
    wait_until(lambda: check(engine) == "clean", lambda: check(engine))


def check(engine: Engine) -> str:
    """Return what the engine says of itself; layers of steps that failed go a moment later."""
    return engine.boxship("system", "check", check=False).stdout.strip()


def right(engine: Engine, door: str, folder: Path, number: int) -> None:
    """Build and see that the result is right, and what was built before all is still cached."""
    tag = f"crash:{door}"
    build(engine, door, "-t", tag, str(folder))
    shown = engine.boxship("run", "--rm", tag, "cat", "/all", "/b/new").stdout
    assert shown == f"{number}\n{number}1\n{number}6\n{number}"
    build(engine, "boxship", "-t", "crash:again", text=FIRST)
    once = [
        engine.boxship("run", "--rm", f"crash:{n}", "cat", "/once").stdout
        for n in ("first", "again")
    ]
    assert once[0] == once[1]


def gone(client: subprocess.Popen[bytes]) -> None:
    """Wait for a client whose engine was killed."""
    try:
        client.wait(30 * PATIENCE)
    except subprocess.TimeoutExpired:
        client.kill()
        client.wait()
    assert client.stdout is not None
    client.stdout.close()


@pytest.mark.docker_cli
@ROUNDS
def test_a_killed_daemon_leaves_nothing_of_builds(
    victim: Engine, tmp_path: Path, rounds: int
) -> None:
    """At random moments: files come, processes run, results are exported, the cache is pruned."""
    dice = random.Random(rounds)
    build(victim, "boxship", "-t", "crash:first", text=FIRST)
    for number in range(rounds):
        folders = [context(tmp_path / door, number) for door in DOORS]
        clients = [
            begin(victim, folder.name, "-t", f"crash:{folder.name}", str(folder))
            for folder in folders
        ]
        clients.append(
            begin(victim, "boxship", "-o", f"type=tar,dest={tmp_path}/tar", str(folders[-1]))
        )
        pruning = threading.Thread(target=prune, args=(victim,))
        pruning.start()
        time.sleep(dice.uniform(0.05, MOST))
        victim.kill()
        for client in clients:
            gone(client)
        pruning.join()
        victim.start()
        clean(victim)
        assert not unrecorded(victim)
        right(victim, dice.choice(DOORS), folders[0], number)


def prune(engine: Engine) -> None:
    engine.docker("builder", "prune", "-f", "--keep-storage", "3MB", check=False)


@pytest.mark.docker_cli
@ROUNDS
def test_clients_that_are_interrupted_leave_nothing(
    victim: Engine, tmp_path: Path, rounds: int
) -> None:
    """At random moments, all at once: one client's end harms no other's build of the same steps."""
    dice = random.Random(rounds)
    build(victim, "boxship", "-t", "crash:first", text=FIRST)
    for number in range(100, 100 + rounds):
        folder = context(tmp_path / "shared", number)
        clients = [begin(victim, door, "-t", f"crash:{door}", str(folder)) for door in DOORS]
        stays = dice.choice(clients)
        for client in clients:
            if client is not stays:
                time.sleep(dice.uniform(0, MOST / len(clients)))
                client.send_signal(signal.SIGINT)
        said, _ = stays.communicate(timeout=60 * PATIENCE)
        assert stays.returncode == 0, said
        for client in clients:
            gone(client)
        clean(victim)
        right(victim, DOORS[clients.index(stays)], folder, number)


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", DOORS)
def test_a_killed_client_leaves_nothing_of_its_build(
    victim: Engine, tmp_path: Path, door: str
) -> None:
    seconds = f"3{os.getpid()}.5"
    client = asleep(victim, door, tmp_path, seconds)
    client.kill()
    gone(client)
    wait_until(lambda: not sleepers(seconds))
    clean(victim)


def asleep(engine: Engine, door: str, folder: Path, seconds: str) -> subprocess.Popen[bytes]:
    """Begin a build whose step sleeps, and wait until it does."""
    (folder / "Dockerfile").write_text(f"FROM busybox:latest\nRUN sleep {seconds} # {door}\n")
    client = begin(engine, door, str(folder))
    wait_until(lambda: sleepers(seconds))
    return client


def sleepers(seconds: str) -> list[int]:
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{entry}/cmdline").read_bytes() == f"sleep\0{seconds}\0".encode():
                found.append(int(entry))
    return found


def keeper_of(pid: int) -> int:
    """Return the process that keeps a container's first one."""
    while True:
        status = Path(f"/proc/{pid}/status").read_text()
        parent = int(status.split("PPid:")[1].split()[0])
        if os.readlink(f"/proc/{parent}/ns/pid") == os.readlink("/proc/self/ns/pid"):
            return parent
        pid = parent


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", ["classic", "boxship"])
def test_a_step_whose_keeper_is_killed_fails_and_leaves_nothing(
    victim: Engine, tmp_path: Path, door: str
) -> None:
    seconds = f"4{os.getpid()}.5"
    client = asleep(victim, door, tmp_path, seconds)
    os.kill(keeper_of(sleepers(seconds)[0]), signal.SIGKILL)
    assert client.wait(60 * PATIENCE) == 1
    assert client.stdout is not None
    assert b"keeper" in client.stdout.read()
    client.stdout.close()
    wait_until(lambda: not sleepers(seconds))
    clean(victim)


@pytest.mark.docker_cli
@pytest.mark.parametrize("killed", ["daemon", "client"])
def test_a_fetch_that_was_cut_short_is_ended_and_done_again(
    victim: Engine, tmp_path: Path, killed: str
) -> None:
    """git hangs on a server that does not answer; its locks are left, and must not matter."""
    Repository.new(tmp_path / f"{killed}.git").commit(Dockerfile="FROM scratch\nCOPY f /\n", f="f")
    serve, stuck, free = repositories(tmp_path), threading.Event(), threading.Event()

    def answer(asked: Asked) -> Page:
        if asked.method == "POST" and b"want " in asked.body and not free.is_set():
            stuck.set()
            free.wait(60 * PATIENCE)
        return serve(asked)

    with site(answer) as web:
        client = begin(victim, "boxship", f"{web.url}/{killed}.git")
        try:
            wait_until(stuck.is_set)
            assert git_for(web.url)
            if killed == "daemon":
                victim.kill()
                gone(client)
                victim.start()
            else:
                client.kill()
                gone(client)
            wait_until(lambda: not git_for(web.url))
            clean(victim)
        finally:
            free.set()
        out = tmp_path / "out"
        build(victim, "boxship", "-o", f"type=local,dest={out}", f"{web.url}/{killed}.git")
        assert (out / "f").read_text() == "f"
        shutil.rmtree(out)


def git_for(url: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if url in line and "git" in line.split()[0]]
