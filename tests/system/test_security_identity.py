"""Who a program is inside: capabilities, groups and numbers, by every way a program is started."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container
from tests.support.engine import CHECKOUT, PATIENCE, Engine
from tests.support.waiting import wait_until
from tests.system.conftest import IMAGE, Start, grown, inside, put_file, resident

pytestmark = pytest.mark.usefixtures("unharmed")
INHERITED = "grep CapInh /proc/self/status"
NONE = "CapInh:\t0000000000000000"


def test_sec_20_nothing_is_inheritable_by_any_way(
    engine: Engine, start: Start, tmp_path: Path
) -> None:
    check = {"test": ["CMD-SHELL", INHERITED], "interval": 10**8, "retries": 1000}
    container = start("sh", "-c", f"{INHERITED}; exec sleep 3600", healthcheck=check)
    wait_until(lambda: NONE.encode() in container.logs())
    words = ["sh", "-c", INHERITED]
    for options in ({}, {"privileged": False}, {"privileged": True}, {"user": "7:8"}):
        assert container.exec_run(words, **options).output.decode().strip() == NONE
    assert start(*words, privileged=True).wait()["StatusCode"] == 0

    def probed() -> bool:
        container.reload()
        log = container.attrs["State"]["Health"]["Log"]
        return bool(log) and all(one["Output"].strip() == NONE for one in log)

    wait_until(probed)
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN {INHERITED} | grep 0000000000000000\n")
    engine.boxship("build", "--no-cache", str(tmp_path))


GROUPS = b"root:x:0:\nweb:x:500:\nfirst:x:601:web\nsecond:x:602:other,web\nthird:x:603:other\n"
USERS = b"root:x:0:0::/:/bin/sh\nweb:x:500:500::/:/bin/sh\nother:x:501:500::/:/bin/sh\n"


@pytest.fixture
def peopled(api: docker.DockerClient, start: Start, name: str) -> str:
    """Make an image that has users and groups; return its name."""
    container = start()
    put_file(container, "/etc/passwd", USERS)
    put_file(container, "/etc/group", GROUPS)
    container.commit(f"peopled-{name}")
    return f"peopled-{name}"


@pytest.mark.parametrize(
    ("user", "wanted"),
    [
        ("web", "500 601 602"), ("500", "500 601 602"), ("web:500", "500"), ("500:first", "601"),
        ("other", "500 602 603"), ("700", "0"), ("700:700", "700"), ("root", "0"), ("", "0"),
    ],
)  # fmt: skip
def test_sec_21_groups_are_the_primary_one_and_those_on_file(
    api: docker.DockerClient, peopled: str, user: str, wanted: str
) -> None:
    """By run and by exec, for each form of a user; what is added is added."""
    made = api.containers.run(
        peopled, ["sh", "-c", "id -G; exec sleep 3600"], detach=True, user=user, group_add=["777"]
    )
    try:
        wait_until(made.logs)
        of_first = set(made.logs().decode().split())
        assert of_first == {*wanted.split(), "777"}
        _, output = made.exec_run(["id", "-G"], user=user)
        assert set(output.decode().split()) >= set(wanted.split())
        assert set(output.decode().split()) <= {*wanted.split(), "777"}
    finally:
        made.remove(force=True)
        api.images.remove(peopled, force=True)


@pytest.mark.parametrize(
    "user", ["2147483648", "4294967295", "4294967296", "-1", "1000000000x", "0:4294967296"]
)
def test_sec_22_numbers_that_wrap_are_refused_by_every_way(
    engine: Engine, api: docker.DockerClient, start: Start, user: str, tmp_path: Path
) -> None:
    made = api.containers.create(IMAGE, ["id", "-u"], user=user)
    with pytest.raises(docker.errors.APIError):
        made.start()
    assert made.logs() == b""
    made.remove()
    done = engine.docker("exec", "-u", user, start().id, "id", check=False)
    assert done.returncode != 0
    assert "uid=" not in done.stdout
    (tmp_path / "Dockerfile").write_text(f"FROM {IMAGE}\nUSER {user}\nRUN id > /who\n")
    assert engine.boxship("build", "--no-cache", str(tmp_path), check=False).returncode != 0


def test_sec_23_a_user_that_is_called_like_a_number_is_nobody(
    engine: Engine, start: Start, tmp_path: Path
) -> None:
    container = start()
    put_file(container, "/etc/passwd", b"root:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n")
    put_file(container, "/etc/group", b"root:x:0:\n1000:x:0:\n")
    assert container.exec_run(["id", "-u"], user="1000").output == b"1000\n"
    assert container.exec_run(["id", "-g"], user="1000:1000").output == b"1000\n"
    image = container.commit(f"named-{container.id[:12]}")
    try:
        done = engine.docker("run", "--rm", "-u", "1000", image.id, "id", "-u")
        assert done.stdout == "1000\n"
    finally:
        engine.docker("rmi", "-f", image.id)


@pytest.mark.parametrize("count", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_sec_24_an_exec_is_whom_it_names(start: Start, count: int) -> None:
    container = start()
    for number in [1, 2147483647, *range(7, 7 + 331 * (count - 2), 331)]:
        assert container.exec_run(["id", "-u"], user=str(number)).output == b"%d\n" % number


LARGE = {
    "holes in passwd": "rm -f /etc/passwd; truncate -s 4G /etc/passwd",
    "holes in group": "rm -f /etc/group; truncate -s 4G /etc/group",
    "one line": "head -c {size} /dev/zero | tr '\\0' x > /etc/passwd",
    "one line of groups": "head -c {size} /dev/zero | tr '\\0' x > /etc/group",
}


@pytest.mark.parametrize("size", [32 << 20, pytest.param(1 << 30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", LARGE)
def test_sec_25_files_of_users_without_end(
    engine: Engine, start: Start, kind: str, size: int
) -> None:
    container = start()
    inside(container, "sh", "-c", LARGE[kind].format(size=size))
    before = resident(engine)
    begun = time.monotonic()
    done = engine.docker("exec", "-u", "web:web", container.id, "true", check=False)
    assert done.returncode
    assert time.monotonic() - begun < 20 * PATIENCE  # 1 s on a machine of its own
    container.stop(timeout=0)
    starts = engine.docker("start", container.id, check=False)
    assert starts.returncode or "passwd" not in kind
    assert grown(engine, before, 16 << 10) <= 16 << 10


# What is not there is refused, and not passed over.


def test_sec_28_what_would_remap_users_is_refused(engine: Engine, tmp_path: Path) -> None:
    settings = tmp_path / "daemon.json"
    settings.write_text(json.dumps({"userns-remap": "default"}))
    done = subprocess.run(
        [sys.executable, "-m", "boxship.daemon.main", "--validate", "--config-file", str(settings)],
        env={"PYTHONPATH": str(CHECKOUT / "src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "userns-remap" in done.stderr


def test_sec_19_checkpoints_are_refused(engine: Engine, start: Start) -> None:
    container: Container = start()
    done = engine.docker("start", "--checkpoint", "../../x", container.id, check=False)
    assert done.returncode != 0
    assert "checkpoint" in done.stderr.lower()
    done = engine.docker("checkpoint", "create", container.id, "x", check=False)
    assert done.returncode != 0
    assert inside(container, "echo", "there") == "there"


def test_userns_host_is_what_there_is_and_anything_else_is_refused(
    engine: Engine, start: Start
) -> None:
    assert inside(start(userns_mode="host"), "cat", "/proc/self/uid_map").split() == (
        Path("/proc/self/uid_map").read_text().split()
    )
    done = engine.docker("run", "--rm", "--userns", "private", IMAGE, "true", check=False)
    assert done.returncode == 125
    assert "invalid USER mode" in done.stderr
