"""What clients get of a program's streams, and a program of its clients'."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.support.shims import (
    ALL,
    BOTH,
    World,
    client,
    read_all,
    read_until,
    story,
    streams,
)

from boxship.shim import protocol
from boxship.shim.protocol import Attachment
from boxship.wire.multiplex import Stream

pytestmark = pytest.mark.root


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
