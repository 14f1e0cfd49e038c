"""Shims whose daemon or spawner goes, and shims that go themselves."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.support.plain_runtime import PlainHost
from tests.support.shims import (
    Case,
    World,
    open_descriptors,
    story,
    until,
)

from boxship.kernel import processes
from boxship.shim import protocol, record
from boxship.shim.client import Shim
from boxship.shim.errors import ShimLost
from boxship.shim.settle import is_kept, settle

pytestmark = pytest.mark.root


@story
async def test_a_daemon_that_comes_back_finds_the_container_and_hears_its_exit(w: World):
    case = await w.case()
    started = await case.start("sleep 100")
    await case.shim.close()
    found = w.follow(Case(await Shim.connect(case.shim.folder), case.bundle))
    assert (found.shim.state.pid, found.shim.state.container) == (started.pid, "c1")
    os.kill(started.pid, signal.SIGKILL)
    assert (await found.exited()).code == 137


@story
async def test_a_daemon_that_comes_during_a_start_is_told_what_came_of_it(w: World):
    case = await w.case()
    shim = case.shim.pid
    children = Path(f"/proc/{shim}/task/{shim}/children")
    (starter,) = (int(pid) for pid in children.read_text().split())
    os.kill(starter, signal.SIGSTOP)
    starting = asyncio.ensure_future(case.start("sleep 100"))
    await until((case.bundle / "config.json").exists)
    await until(lambda: os.path.exists(f"{case.shim.folder}/state.json"))
    again = asyncio.ensure_future(Shim.connect(case.shim.folder))
    await asyncio.sleep(0.1)
    assert not again.done()
    os.kill(starter, signal.SIGCONT)
    assert (await again).state.pid == (await starting).pid
    await again.result().close()


@story
async def test_an_exit_while_no_daemon_is_there_is_in_the_record(w: World):
    case = await w.case()
    await case.start("sleep 0.2; echo late; exit 6")
    await case.shim.close()
    await until(case.exit_file.exists)
    assert case.exit_record()["ExitCode"] == 6
    assert case.written() == "late\n"
    await until(lambda: not os.path.exists(case.shim.folder))


@story
async def test_a_daemon_cut_off_in_the_middle_of_a_message_harms_nothing(w: World):
    case = await w.case()
    started = await case.start("sleep 100")
    before = open_descriptors(case.shim.pid)
    message = protocol.encode(protocol.Signal(number=1, target="init", signal=9), 1)
    for cut in range(1, len(message)):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(f"{case.shim.folder}/shim.sock")
        socket.send_fds(sock, [message[:cut]], [0])
        sock.close()
    await (await Shim.connect(case.shim.folder)).close()
    assert processes.is_alive(started.pid)
    await until(lambda: open_descriptors(case.shim.pid) == before)


@story
async def test_a_shim_that_nobody_asked_to_start_anything_goes_with_its_daemon(w: World):
    case = await w.case()
    await case.shim.close()
    await until(lambda: not os.path.exists(case.shim.folder))


@story
async def test_shims_ignore_what_ends_their_daemon(w: World):
    case = await w.case()
    started = await case.start(["/bin/busybox", "sleep", "100"])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        os.kill(case.shim.pid, number)
    await asyncio.sleep(0.05)
    assert processes.is_alive(case.shim.pid)
    status = Path(f"/proc/{started.pid}/status").read_text()
    ignored = int(status.split("SigIgn:")[1].split()[0], 16)
    assert not ignored & 0x7FFFFFFF, "the program must not inherit ignored signals"


@story
async def test_shims_live_on_when_the_spawner_is_killed_and_the_next_one_forks_more(w: World):
    case = await w.case()
    await case.start("sleep 100")
    os.kill(w.spawner.pid, signal.SIGKILL)
    other = await w.case("c2")
    await other.start("exit 3")
    assert (await other.exited()).code == 3
    await case.shim.signal("init", 9)
    assert (await case.exited()).code == 137


@story
async def test_nothing_is_left_of_a_spawner_that_was_stopped_or_killed(w: World):
    """Not even the shims that it keeps ready."""
    for end in (w.spawner.stop, lambda: asyncio.to_thread(os.kill, w.spawner.pid, signal.SIGKILL)):
        case = await w.case()
        spawner = w.spawner.pid
        children = Path(f"/proc/{spawner}/task/{spawner}/children")
        await until(lambda children=children: len(children.read_text().split()) == 1)
        forked = [int(pid) for pid in children.read_text().split()]
        await case.shim.close()
        await end()
        for pid in (spawner, *forked):
            await until(lambda pid=pid: not processes.is_alive(pid))


@story
async def test_many_containers_at_once_start_and_end(w: World):
    async def one(number: int) -> int:
        case = await w.case(f"c{number}")
        await case.start(f"exit {number}")
        return (await case.exited()).code

    codes = await asyncio.gather(*(one(number) for number in range(40)))
    assert codes == list(range(40))


@story
async def test_the_end_is_told_even_where_the_record_cannot_be_written(w: World):
    case = await w.case()
    await case.start("sleep 0.1; exit 4")
    case.exit_file.mkdir()  # a folder is in its way
    assert (await case.exited()).code == 4
    assert not os.path.exists(case.shim.folder)


@story
async def test_a_killed_shim_is_noticed(w: World):
    case = await w.case()
    started = await case.start("sleep 100")
    os.kill(case.shim.pid, signal.SIGKILL)
    await case.lost()
    with pytest.raises(ShimLost):
        await case.shim.signal("init", 9)
    with pytest.raises(ShimLost):
        await Shim.connect(case.shim.folder)
    os.kill(started.pid, signal.SIGKILL)


@story
async def test_a_container_whose_shim_was_killed_is_brought_to_its_end(w: World):
    case = await w.case()
    started = await case.start(["/bin/busybox", "sleep", "100"])
    assert settle(case.shim.folder, PlainHost(), 5) is None, "its shim lives"
    os.kill(case.shim.pid, signal.SIGKILL)
    await case.lost()
    await until(lambda: not is_kept(case.shim.folder))
    settled = settle(case.shim.folder, PlainHost(), 5)
    assert settled
    assert settled.how
    assert (settled.container, settled.how.exit_code, settled.how.finished_at) == ("c1", 137, 5)
    assert case.exit_record()["ExitCode"] == 137
    assert not processes.is_alive(started.pid)
    assert not os.path.exists(case.shim.folder)


@story
async def test_a_pid_that_is_somebody_elses_by_now_is_not_killed(w: World):
    case = await w.case()
    started = await case.start(["/bin/busybox", "sleep", "100"])
    os.kill(case.shim.pid, signal.SIGKILL)
    await case.lost()
    await until(lambda: not is_kept(case.shim.folder))
    standing = record.read_standing(case.shim.folder)
    assert standing
    assert standing.init
    standing.init.started += 1
    record.write_standing(case.shim.folder, standing)
    settle(case.shim.folder, PlainHost(), 5)
    assert processes.is_alive(started.pid)
    os.kill(started.pid, signal.SIGKILL)


@story
async def test_a_record_written_before_the_shim_was_killed_counts(w: World):
    case = await w.case()
    await case.start("sleep 100")
    written = record.ExitRecord(exit_code=3, finished_at=1)
    record.write_exit(str(case.exit_file), written)
    os.kill(case.shim.pid, signal.SIGKILL)
    await case.lost()
    await until(lambda: not is_kept(case.shim.folder))
    settled = settle(case.shim.folder, PlainHost(), 5)
    assert settled
    assert settled.how == written


@story
async def test_kills_at_any_moment_of_a_start_can_be_settled(w: World):
    """The shim dies at moments spread over its whole life; what is left never runs on."""
    for n in range(40):
        case = await w.case(f"c{n}")
        starting = asyncio.ensure_future(case.start(["/bin/busybox", "sleep", "0.02"]))
        await asyncio.sleep(n * 0.0007)
        processes.kill(case.shim.pid, signal.SIGKILL)  # unless it has come to its end already
        await asyncio.gather(starting, return_exceptions=True)
        await until(lambda case=case: not is_kept(case.shim.folder))
        settle(case.shim.folder, PlainHost(), 5)
        assert not os.path.exists(case.shim.folder)
        if not starting.exception():
            assert case.exit_record()["ExitCode"] in (0, 137)
            assert not processes.is_alive(starting.result().pid)


def test_what_is_left_of_a_session_is_waited_for_before_anything_is_swept(tmp_path: Path):
    """Even of a session whose first process is waited for already, and not of another's."""
    leaves = "import os; os.setsid(); print(os.posix_spawn('/bin/sleep', ['sleep', '100'], {}))"
    with subprocess.Popen([sys.executable, "-c", leaves], stdout=subprocess.PIPE, text=True) as led:
        assert led.stdout
        late = int(led.stdout.readline())
        began = processes.start_time(late)
    assert processes.has_left_some(led.pid, began)
    assert not processes.has_left_some(led.pid, began + 1)  # another's, that came later
    folder = str(tmp_path / "late")
    os.mkdir(folder)
    runtime = protocol.RuntimeChoice()
    shim = record.Process(led.pid, began)
    standing = record.Standing("c1", shim, exit_record=f"{folder}/exit.json", runtime=runtime)
    record.write_standing(folder, standing)
    assert settle(folder, PlainHost(), 5) is None
    os.kill(late, signal.SIGKILL)
    while processes.has_left_some(led.pid, began):
        time.sleep(0.01)
    assert settle(folder, PlainHost(), 5)
    assert not os.path.exists(folder)
