"""ssh in builds: a real agent forwarded, keys of files, and repositories behind a real sshd."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.doors import build
from tests.support.engine import PATIENCE, SPREAD, Engine, engine_number, private_engine
from tests.support.gitrepo import Repository
from tests.support.remote import sshd

BUILDKIT = ("session", "buildx", "boxship")
TOOL = "/t/loader --library-path /t /t/ssh-add"
needs_agent = pytest.mark.skipif(
    not all(map(shutil.which, ("ssh-agent", "ssh-add", "ssh-keygen"))),
    reason="openssh-client is not installed",
)


@dataclass
class Agent:
    """An ssh-agent with one key."""

    socket: str
    key: Path
    fingerprint: str

    def listed(self) -> str:
        env = {"SSH_AUTH_SOCK": self.socket}
        return subprocess.run(
            ["/usr/bin/ssh-add", "-l"], env=env, capture_output=True, text=True, check=False
        ).stdout


def new_key(path: Path, passphrase: str = "", kind: str = "ed25519") -> str:
    words = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)]
    subprocess.run(words, check=True)
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(path)], capture_output=True, text=True, check=True
    )
    return shown.stdout.split()[1]


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    folder = tmp_path_factory.mktemp("agent")
    fingerprint = new_key(folder / "key")
    with running_agent(f"{folder}/s", folder / "key"):
        yield Agent(f"{folder}/s", folder / "key", fingerprint)


@contextlib.contextmanager
def running_agent(socket: str, key: Path) -> Iterator[None]:
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 20 * PATIENCE
        while not os.path.exists(socket):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        env = {**os.environ, "SSH_AUTH_SOCK": socket}
        subprocess.run(["ssh-add", "-q", str(key)], env=env, check=True)
        yield
    finally:
        process.terminate()
        process.wait(20 * PATIENCE)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory, agent: Agent) -> Path:
    """A context with the host's ssh-add and what it needs to run in any image."""
    folder = tmp_path_factory.mktemp("tools")
    program = shutil.which("ssh-add")
    assert program is not None
    shutil.copy(program, folder / "ssh-add")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in re.findall(r"(/\S+) \(", listed):
        name = "loader" if os.path.basename(path).startswith("ld-") else os.path.basename(path)
        shutil.copy(path, folder / name)
    shutil.copy(f"{agent.key}.pub", folder / "key.pub")
    (folder / "Dockerfile").write_text(
        "FROM busybox:latest\nARG ID=default\n"
        f"RUN --mount=type=bind,target=/t --mount=type=ssh,id=$ID {TOOL} -l && "
        f"{TOOL} -T /t/key.pub && echo signed; {TOOL} -D; {TOOL} -l; echo end\n"
        "FROM busybox:latest AS bare\n"
        'RUN --mount=type=ssh,id=absent test ! -e "$SSH_AUTH_SOCK" && echo nothing there\n'
        "FROM busybox:latest AS needed\nRUN --mount=type=ssh,id=absent,required=true true\n"
    )
    return folder


def sockets() -> set[str]:
    return set(glob.glob("/tmp/boxship-ssh-*"))


def wait_gone(known: set[str]) -> None:
    """Wait until there are no sockets but those; other tests may have some for a while."""
    deadline = time.monotonic() + 60 * PATIENCE
    while left := sockets() - known:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@needs_agent
@pytest.mark.docker_cli
@pytest.mark.parametrize("door", BUILDKIT)
def test_a_real_agent_signs_for_a_build_and_keeps_its_keys(
    engine: Engine, agent: Agent, tools: Path, door: str
) -> None:
    before = sockets()
    words = ("--ssh", "default", "--no-cache", "--target", "0", str(tools))
    done = build(engine, door, *words, env={"SSH_AUTH_SOCK": agent.socket})
    said = done.stdout + done.stderr
    if door != "session":  # that client shows no lines of steps that go well
        assert said.count(agent.fingerprint) == 2  # before and after all were to be removed
        assert "signed" in said
    assert agent.fingerprint in agent.listed()
    wait_gone(before)


@needs_agent
@pytest.mark.docker_cli
@pytest.mark.parametrize("door", ["buildx", "boxship"])
def test_keys_of_files_are_offered_by_the_client_itself(
    engine: Engine, agent: Agent, tools: Path, tmp_path: Path, door: str
) -> None:
    other = new_key(tmp_path / "other", kind="ecdsa")
    keys = f"deploy={agent.key},{tmp_path}/other"
    words = ("--build-arg", "ID=deploy", "--no-cache", "--target", "0", str(tools))
    done = build(engine, door, "--ssh", keys, *words, env={"SSH_AUTH_SOCK": ""})
    times = 1 if door == "buildx" else 2  # its own keys are removed when they are told to be
    assert done.stderr.count(agent.fingerprint) == times
    assert done.stderr.count(other) == times
    assert "signed" in done.stderr
    new_key(tmp_path / "locked", "sesame")
    refused = build(engine, door, "--ssh", f"deploy={tmp_path}/locked", *words, check=False)
    assert refused.returncode == 1
    assert re.search("encrypted|passphrase", refused.stderr)
    bare = ("--no-cache", "--target")
    done = build(engine, door, "--ssh", keys, *bare, "bare", str(tools))
    assert "nothing there" in done.stderr
    needed = build(engine, door, "--ssh", keys, *bare, "needed", str(tools), check=False)
    assert needed.returncode == 1
    assert "absent" in needed.stderr


@needs_agent
@pytest.mark.docker_cli
def test_repositories_behind_ssh_are_fetched_with_the_clients_agent(tmp_path: Path) -> None:
    """The server's key is kept when it is first seen; another one is then refused."""
    made = Repository.new(tmp_path / "served/r.git")
    made.commit(Dockerfile="FROM scratch\nCOPY f /\n", f="by ssh")
    path = f"{tmp_path}/served/r.git"
    with private_engine(engine_number() + SPREAD) as engine:
        with sshd() as (address, environment):
            key = Path(environment["PATH"].split(":")[0]).parent / "user"
            port = address.rpartition(":")[2]
            url = f"ssh://root@{address}{path}"
            shut = build(engine, "boxship", url, check=False)
            assert "Permission denied" in shut.stderr
            for door, more in (("boxship", ""), ("buildx", "#main")):
                out = tmp_path / door
                words = ("--ssh", f"default={key}", "-o", f"type=local,dest={out}", url + more)
                build(engine, door, *words)
                assert (out / "f").read_text() == "by ssh"
            text = f"FROM scratch\nADD {url} /r\n"
            build(engine, "boxship", "--ssh", f"default={key}", text=text)
        known = (engine.root / "data/build/known_hosts").read_text()
        assert f"[127.0.0.1]:{port}" in known
        swapped = re.sub(r"ssh-ed25519 \S+", "ssh-ed25519 " + _other_key(tmp_path), known)
        with sshd() as (address, environment):
            key = Path(environment["PATH"].split(":")[0]).parent / "user"
            theirs = swapped.replace(f":{port}", f":{address.rpartition(':')[2]}")
            (engine.root / "data/build/known_hosts").write_text(theirs)
            url = f"ssh://root@{address}{path}"
            refused = build(engine, "boxship", "--ssh", f"default={key}", url, check=False)
            assert "Host key verification failed" in refused.stderr
    wait_gone(set())


def _other_key(folder: Path) -> str:
    new_key(folder / "elsewhere")
    return (folder / "elsewhere.pub").read_text().split()[1]
