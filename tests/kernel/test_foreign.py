"""Another runtime's command line: what it leaves, and what becomes of one that never answers."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.boxes import Boxes, boxes
from tests.support.engine import PATIENCE

from boxship.kernel import mounts, processes
from boxship.runtime.errors import StartFailed
from boxship.runtime.foreign import ForeignRuntime

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed"),
]


def runtime(path: Path, program: str = "runc", patience: float = 60) -> ForeignRuntime:
    return ForeignRuntime(program, (), f"{path}/state", folders=f"{path}/c", patience=patience)


@pytest.fixture
def runc(tmp_path: Path) -> Iterator[Boxes]:
    processes.become_subreaper()
    with boxes(runtime(tmp_path)) as made:
        yield made
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """A runtime that says nothing, and has a process more that says nothing."""
    program = tmp_path / "silent"
    program.write_text("#!/bin/sh\nsleep 3601 & echo $! $$ >> ${0}.pids; sleep 3602\n")
    program.chmod(0o755)
    return program


def where_mounted(device: int) -> list[str]:
    """Return the processes in whose mount namespace a filesystem is mounted."""
    number = f"{os.major(device)}:{os.minor(device)}"
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
        except OSError:
            continue
        if any(line.split()[2] == number for line in lines):
            found.append(pid)
    return found


def test_nothing_of_the_hosts_is_held(runc: Boxes, tmp_path: Path) -> None:
    place = tmp_path / "mounted"
    place.mkdir()
    mounts.mount("x", str(place), "tmpfs")
    try:
        name = runc.start(runc.spec("sleep", "60"))
        assert runc.exec(name, runc.spec("sleep", "60"), "true").code == 0
        device = place.stat().st_dev
    finally:
        mounts.umount(str(place))
    mine = [pid for pid in where_mounted(device) if pid_shares(pid, runc.running[name].pid)]
    assert mine == []


def pid_shares(pid: str, other: int) -> bool:
    """Whether a process is this one, the other, or one that either has made."""
    ours = {str(os.getpid()), str(other)}
    while pid not in ("0", ""):
        if pid in ours:
            return True
        try:
            pid = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            return False
    return False


def test_what_is_kept_is_in_the_containers_folder(runc: Boxes, tmp_path: Path) -> None:
    name = runc.start(runc.spec("sleep", "60"))
    assert runc.exec(name, runc.spec("sleep", "60"), "true").code == 0
    folder = tmp_path / "c" / name / "oci"
    assert (folder / "config.json").exists()
    assert not list(folder.glob("exec-*"))
    runc.end(name)
    assert not folder.exists()


def test_a_terminal_comes_from_a_folder_with_a_long_path(tmp_path: Path) -> None:
    processes.become_subreaper()
    with boxes(runtime(tmp_path / ("x" * 150))) as made:
        done = made.run("tty", process={"terminal": True})
    processes.prctl(processes.PR_SET_CHILD_SUBREAPER, 0)
    assert done.output == "/dev/pts/0\n"


def test_a_runtime_that_never_answers_is_ended(tmp_path: Path, silent: Path) -> None:
    said = r"create failed: .*silent did not answer within"
    made = runtime(tmp_path, str(silent), patience=0.5)
    with boxes(made) as box, pytest.raises(StartFailed, match=said):
        box.start(box.spec("true"))
    pids = Path(f"{silent}.pids").read_text().split()
    deadline = time.monotonic() + 60 * PATIENCE
    while any(processes.is_alive(int(pid)) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not list((tmp_path / "c").glob("*/oci"))


def test_a_runtime_that_is_not_there_is_told(tmp_path: Path) -> None:
    made = runtime(tmp_path, str(tmp_path / "absent"))
    with boxes(made) as box, pytest.raises(StartFailed, match="absent: no such file or directory"):
        box.start(box.spec("true"))
