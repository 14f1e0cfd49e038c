"""The shim as a process, with a runtime that runs plain programs."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest
from tests.support.engine import PATIENCE
from tests.support.plain_runtime import PlainHost
from tests.support.shims import (
    Case,
    World,
    client,
    open_descriptors,
    read_all,
    read_until,
    until,
    world,
)

from boxship.kernel import processes
from boxship.runtime.errors import StartFailed
from boxship.shim import protocol, record
from boxship.shim.client import Shim
from boxship.shim.errors import NoSuchProcess, ShimLost, WrongMoment
from boxship.shim.protocol import Attachment
from boxship.shim.settle import is_kept, settle
from boxship.wire.multiplex import Demultiplexer, Stream

pytestmark = pytest.mark.root

BOTH = Attachment(stdout=True, stderr=True, multiplex=True)
ALL = Attachment(stdin=True, stdout=True, stderr=True, multiplex=True)


def story(tell):
    """Run an async test that takes a World."""

    def test(tmp_path):
        async def run():
            async with world(tmp_path) as made, asyncio.timeout(60 * PATIENCE):
                await tell(made)

        asyncio.run(run())

    test.__name__ = tell.__name__
    test.__doc__ = tell.__doc__
    return test


def streams(wire: bytes) -> dict[Stream, bytes]:
    got: dict[Stream, list[bytes]] = {}
    for frame in Demultiplexer().feed(wire):
        got.setdefault(frame.stream, []).append(frame.payload)
    return {stream: b"".join(parts) for stream, parts in got.items()}


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
async def test_a_client_attached_at_the_start_gets_every_byte_of_both_streams(w: World):
    case = await w.case()
    mine, theirs = client()
    await case.start("echo out; echo err >&2; printf end", clients=[(BOTH, theirs)])
    assert streams(await read_all(mine)) == {Stream.STDOUT: b"out\nend", Stream.STDERR: b"err\n"}


@story
async def test_a_client_attached_before_the_start_gets_every_byte(w: World):
    case = await w.case()
    mine, theirs = client()
    await case.shim.attach("init", BOTH, theirs.fileno())
    theirs.close()
    await case.start("echo first")
    assert streams(await read_all(mine)) == {Stream.STDOUT: b"first\n"}


@story
async def test_the_exit_is_told_before_the_clients_see_the_end(w: World):
    for _ in range(10):
        case = await w.case()
        mine, theirs = client()
        await case.start("echo x", clients=[(BOTH, theirs)])
        await read_all(mine)
        await asyncio.sleep(0)
        assert case.exit_file.exists()
        await case.exited()
        await case.shim.close()


@story
async def test_input_ends_with_the_client_where_stdin_is_once(w: World):
    case = await w.case()
    mine, theirs = client()
    ready = Attachment(stdin=True, stdout=True, multiplex=True, pending=b"early ")
    await case.start("cat", open_stdin=True, stdin_once=True, clients=[(ready, theirs)])
    mine.sendall(b"and late")
    mine.shutdown(socket.SHUT_WR)
    assert streams(await read_all(mine)) == {Stream.STDOUT: b"early and late"}
    assert (await case.exited()).code == 0


@story
async def test_input_stays_open_for_the_next_client_where_stdin_is_not_once(w: World):
    case = await w.case()
    mine, theirs = client()
    await case.start("read a; read b; echo $a $b", open_stdin=True, clients=[(ALL, theirs)])
    mine.sendall(b"one\n")
    mine.shutdown(socket.SHUT_WR)
    assert await read_all(mine) == b""
    mine, theirs = client()
    await case.shim.attach("init", ALL, theirs.fileno())
    theirs.close()
    mine.sendall(b"two\n")
    assert streams(await read_all(mine)) == {Stream.STDOUT: b"one two\n"}


@story
async def test_several_clients_get_the_same(w: World):
    case = await w.case()
    pairs = [client() for _ in range(3)]
    raw = Attachment(stdout=True)
    await case.start("seq 10000", clients=[(raw, theirs) for _, theirs in pairs])
    got = await asyncio.gather(*(read_all(mine) for mine, _ in pairs))
    assert set(got) == {b"".join(b"%d\n" % n for n in range(1, 10001))}


@story
async def test_much_output_reaches_the_client_whole_without_a_log(w: World):
    case = await w.case()
    mine, theirs = client()
    command = "for i in 1 2 3; do head -c 20000000 /dev/zero; echo e >&2; done"
    await case.start(command, log=protocol.LogChoice(), clients=[(BOTH, theirs)])
    got = streams(await read_all(mine))
    assert got[Stream.STDERR] == b"e\ne\ne\n"
    assert got[Stream.STDOUT] == bytes(60_000_000)


@story
async def test_much_input_reaches_the_program_whole(w: World):
    case = await w.case()
    mine, theirs = client()
    await case.start("wc -c", open_stdin=True, stdin_once=True, clients=[(ALL, theirs)])

    def send():
        for _ in range(30):
            mine.sendall(bytes(1_000_000))
        mine.shutdown(socket.SHUT_WR)

    await asyncio.to_thread(send)
    assert streams(await read_all(mine)) == {Stream.STDOUT: b"30000000\n"}


@story
async def test_a_slow_client_holds_the_program_up_and_then_gets_everything(w: World):
    case = await w.case()
    mine, theirs = client()
    await case.start("seq 300000; echo done >&2", clients=[(BOTH, theirs)])
    await asyncio.sleep(0.5)
    assert not case.exit_file.exists()
    got = streams(await read_all(mine))
    assert got[Stream.STDOUT].count(b"\n") == 300_000
    await case.exited()
    assert case.written().count("\n") == 300_001


@story
async def test_a_client_that_vanishes_costs_the_log_nothing(w: World):
    case = await w.case()
    mine, theirs = client()
    await case.start("sleep 0.1; seq 200000", clients=[(BOTH, theirs)])
    mine.close()
    assert (await case.exited()).code == 0
    assert case.written().count("\n") == 200_000


@story
async def test_a_terminal_is_raw_can_be_resized_and_left_by_its_keys(w: World):
    case = await w.case()
    mine, theirs = client()
    await case.start(
        "read a; stty size; read b; exit 4", tty=True, open_stdin=True, clients=[(ALL, theirs)]
    )
    await case.shim.resize("init", 33, 99)
    mine.sendall(b"go\n")
    assert b"33 99\r\n" in await read_until(mine, b"99\r\n")
    mine.sendall(b"\x10")
    mine.sendall(b"\x11ignored")
    await read_all(mine)
    assert (await case.heard(protocol.Detached)).by_keys
    mine, theirs = client()
    await case.shim.attach("init", ALL, theirs.fileno())
    theirs.close()
    mine.sendall(b"\n")
    await read_all(mine)
    assert (await case.exited()).code == 4


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
