"""The shim as a process, with a runtime that runs plain programs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest
from tests.support.shims import (
    ALL,
    BOTH,
    World,
    client,
    open_descriptors,
    read_all,
    story,
    streams,
    until,
)

from boxship.runtime.errors import StartFailed
from boxship.shim import protocol
from boxship.shim.client import Shim
from boxship.shim.errors import NoSuchProcess, WrongMoment
from boxship.wire.multiplex import Stream

pytestmark = pytest.mark.root


@story
async def test_an_exit_is_on_disk_before_it_is_told_and_nothing_else_is_left(w: World):
    case = await w.case()
    await case.start("echo out; echo err >&2; exit 7")
    event = await case.exited()
    assert (event.code, event.signal) == (7, 0)
    assert case.exit_record()["ExitCode"] == 7
    assert case.exit_record()["FinishedAt"] == event.time
    assert case.written() == "out\nerr\n"
    assert not os.path.exists(case.shim.folder)


@story
async def test_a_killed_program_exits_with_128_and_its_signal(w: World):
    case = await w.case()
    await case.start(["/bin/busybox", "sleep", "100"])
    await case.shim.signal("init", signal.SIGTERM)
    event = await case.exited()
    assert (event.code, event.signal) == (143, 15)


@story
async def test_a_program_that_cannot_start_says_why_and_leaves_no_shim(w: World):
    case = await w.case()
    with pytest.raises(StartFailed) as refusal:
        await case.start(["/does/not/exist"])
    assert refusal.value.exit_code == 127
    assert "/does/not/exist" in str(refusal.value)
    await case.lost()
    assert not os.path.exists(case.shim.folder)


@story
async def test_execs_have_streams_and_exit_codes_of_their_own(w: World):
    case = await w.case()
    await case.start("sleep 100")
    mine, theirs = client()
    await case.exec("e1", "cat; echo err >&2; exit 5", open_stdin=True, clients=[(ALL, theirs)])
    mine.sendall(b"in")
    mine.shutdown(socket.SHUT_WR)
    assert streams(await read_all(mine)) == {Stream.STDOUT: b"in", Stream.STDERR: b"err\n"}
    assert (await case.heard(protocol.ExecExited)).code == 5
    assert case.log.read_bytes() == b""
    with pytest.raises(NoSuchProcess):
        await case.shim.signal("e1", 15)


@story
async def test_an_exec_that_leaves_a_child_with_its_output_ends_for_its_client(w: World):
    case = await w.case()
    await case.start("sleep 100")
    mine, theirs = client()
    await case.exec("e1", "sleep 50 & echo x", clients=[(BOTH, theirs)])
    assert streams(await read_all(mine)) == {Stream.STDOUT: b"x\n"}


@story
async def test_an_exit_code_of_an_exec_is_kept_until_it_was_noted(w: World):
    case = await w.case()
    await case.start("sleep 100")
    await case.exec("e1", "exit 9")
    await case.heard(protocol.ExecExited)
    again = await Shim.connect(case.shim.folder)
    assert [(e.id, e.exit_code) for e in again.state.execs] == [("e1", 9)]
    await again.forget("e1")
    await again.close()
    again = await Shim.connect(case.shim.folder)
    assert again.state.execs == []
    await again.close()


@story
async def test_requests_that_make_no_sense_are_refused_and_harm_nothing(w: World):
    case = await w.case()
    with pytest.raises(NoSuchProcess):
        await case.exec("e", "true")
    await case.start("sleep 100")
    with pytest.raises(WrongMoment):
        await case.start("true")
    with pytest.raises(NoSuchProcess):
        await case.shim.resize("nobody", 1, 1)
    with pytest.raises(StartFailed):
        await case.shim.exec(protocol.ExecRequest("e", b"no json"))
    await case.shim.signal("init", 9)
    assert (await case.exited()).code == 137


@story
async def test_orphans_are_waited_for(w: World):
    case = await w.case()
    await case.start("(sleep 0.1 &) ; sleep 100")
    await case.exec("e1", "sleep 0.1 & exit 0")
    await asyncio.sleep(0.4)
    shim = case.shim.pid
    children = Path(f"/proc/{shim}/task/{shim}/children").read_text().split()
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in children]
    assert "Z" not in [stat.rpartition(")")[2].split()[0] for stat in stats]


@story
async def test_nothing_leaks_over_many_execs_and_clients(w: World):
    case = await w.case()
    await case.start("sleep 100")
    before = open_descriptors(case.shim.pid)
    for n in range(30):
        mine, theirs = client()
        await case.exec(f"e{n}", "echo hi", clients=[(BOTH, theirs)])
        assert streams(await read_all(mine)) == {Stream.STDOUT: b"hi\n"}
        mine.close()
        mine, theirs = client()
        await case.shim.attach("init", BOTH, theirs.fileno())
        theirs.close()
        mine.close()
    await until(lambda: open_descriptors(case.shim.pid) == before)


@story
async def test_the_spawners_program_cannot_be_written_and_nobody_may_look_inside(w: World):
    case = await w.case()
    await case.start("sleep 100")
    for pid in (w.spawner.pid, case.shim.pid):
        assert os.readlink(f"/proc/{pid}/exe").startswith("/memfd:")
        with pytest.raises(OSError):
            os.close(os.open(f"/proc/{pid}/exe", os.O_WRONLY))
    shown = Path(f"/proc/{case.shim.pid}")
    assert (shown / "cmdline").read_bytes().startswith(b"boxship-shim c1\0")
    assert (shown / "comm").read_text() == "boxship-shim\n"


@story
async def test_a_program_gets_no_descriptor_but_its_three(w: World):
    case = await w.case()
    await case.start("ls /proc/self/fd | wc -l")  # ls has the folder open too
    await case.exited()
    assert case.written() == "4\n"


@story
async def test_output_goes_on_when_the_log_cannot_be_written(w: World):
    case = await w.case()
    mine, theirs = client()
    full = protocol.LogChoice("json-file", "/dev/full")
    await case.start("seq 1000; exit 2", log=full, clients=[(BOTH, theirs)])
    assert streams(await read_all(mine))[Stream.STDOUT].count(b"\n") == 1000
    assert (await case.exited()).code == 2
