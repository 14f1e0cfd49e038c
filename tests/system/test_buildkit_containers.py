"""Containers of the bridge: processes on solved results, and clients that talk with them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest
from tests.support.buildkit import BUSYBOX, Bridge, driven, on_engine, plain_http2, run
from tests.support.engine import PATIENCE, Engine

from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.spec.buildkit import solver_pb2 as solver
from boxship.transport.http2 import Http2, Stream
from boxship.wire.grpc import Code, Failed


class Talk:
    """One ExecProcess call."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.output: dict[tuple[str, int], bytes] = {}
        self.exits: dict[str, pb.ExitMessage] = {}
        self.heard: list[str] = []

    async def begin(self, name: str, container: str, *args: str, tty: bool = False) -> None:
        meta = solver.Meta(args=args, cwd="/", env=["PATH=/bin"])
        fds = [0, 1] if tty else [0, 1, 2]
        init = pb.InitMessage(container_id=container, meta=meta, fds=fds, tty=tty)
        await self.say(pb.ExecMessage(process_id=name, init=init))

    async def say(self, message: pb.ExecMessage) -> None:
        await self.stream.send(message.SerializeToString())

    async def write(self, name: str, data: bytes, *, eof: bool = False) -> None:
        await self.say(pb.ExecMessage(process_id=name, file=pb.FileMessage(data=data, eof=eof)))

    async def hear(self) -> str:
        """Take in one message; return what kind it was, and whose."""
        data = await self.stream.receive()
        assert data is not None
        message = pb.ExecMessage.FromString(data)
        name, kind = message.process_id, str(message.WhichOneof("input"))
        if kind == "file":
            key = name, message.file.fd
            self.output[key] = self.output.get(key, b"") + message.file.data
        elif kind == "exit":
            self.exits[name] = message.exit
        self.heard.append(f"{kind} {name}")
        return self.heard[-1]

    async def wait(self, *words: str) -> None:
        """Hear until each of `words` was heard."""
        while not set(words) <= set(self.heard):
            await self.hear()

    async def wait_output(self, name: str, text: bytes, fd: int = 1) -> None:
        while text not in self.output.get((name, fd), b""):
            assert f"done {name}" not in self.heard, self.output
            await self.hear()


async def new(bridge: Bridge, name: str, ref: str, *more: solver.Mount) -> None:
    mounts = [solver.Mount(dest="/", result_id=ref), *more]
    asked = pb.NewContainerRequest(container_id=name, mounts=mounts)
    await bridge.ask("NewContainer", asked, pb.NewContainerResponse)


@contextlib.asynccontextmanager
async def talking(bridge: Bridge) -> AsyncIterator[Talk]:
    stream = bridge.open("ExecProcess")
    try:
        yield Talk(stream)
    finally:
        stream.cancel()


def test_a_process_reads_and_writes_and_its_code_is_told(engine: Engine) -> None:
    async def story(client: Http2) -> None:
        async with driven(client, "exec-1") as bridge, talking(bridge) as talk:
            ref = await bridge.solve(run("sh", "-c", "echo solved > /result"))
            tmpfs = solver.Mount(dest="/scratch", kind=solver.MOUNT_TMPFS)
            await new(bridge, "c", ref, tmpfs)
            words = "cat /result; cat >&2; echo x > /scratch/f; echo y > /left; hostname; exit 3"
            await talk.begin("p", "c", "sh", "-c", words)
            await talk.write("p", b"typed\n")
            await talk.write("p", b"", eof=True)
            await talk.wait("done p")
            assert talk.heard[0] == "started p"
            assert talk.output["p", 1].startswith(b"solved\n")
            assert talk.output["p", 2] == b"typed\n"
            assert talk.exits["p"].code == 3
            assert talk.exits["p"].error.message == "exit code: 3"
            asked = pb.ReadFileRequest(ref="c", path="/left")
            found = await bridge.ask("ReadFileContainer", asked, pb.ReadFileResponse)
            assert found.data == b"y\n"
            wanted = pb.ReadFileRequest(ref=ref, path="/left")
            with pytest.raises(Failed, match="no such file"):
                await bridge.ask("ReadFile", wanted, pb.ReadFileResponse)
            await talk.begin("q", "c", "true")
            await talk.wait("done q")
            assert "stopped" in talk.exits["q"].error.message

    on_engine(engine, story)


def test_a_terminal_is_resized_and_signals_arrive(engine: Engine) -> None:
    async def story(client: Http2) -> None:
        async with driven(client, "exec-2") as bridge, talking(bridge) as talk:
            await new(bridge, "c", await bridge.solve(BUSYBOX))
            script = "trap 'stty size; exit 7' USR1; tty; while :; do read -t 1 x; done"
            await talk.begin("p", "c", "sh", "-c", script, tty=True)
            await talk.wait_output("p", b"/dev/")
            size = pb.ResizeMessage(rows=33, cols=99)
            await talk.say(pb.ExecMessage(process_id="p", resize=size))
            signal = pb.SignalMessage(name="USR1")
            await talk.say(pb.ExecMessage(process_id="p", signal=signal))
            await talk.wait_output("p", b"33 99")
            await talk.wait("done p")
            assert talk.exits["p"].code == 7
            assert ("p", 2) not in talk.output

    on_engine(engine, story)


def test_processes_run_beside_the_first_and_end_with_it(engine: Engine) -> None:
    async def story(client: Http2) -> None:
        async with driven(client, "exec-3") as bridge, talking(bridge) as talk:
            await new(bridge, "c", await bridge.solve(BUSYBOX))
            await talk.begin(
                "first", "c", "sh", "-c", "echo up; read x; echo $x > /said; sleep 600"
            )
            await talk.wait_output("first", b"up")
            await talk.begin("second", "c", "sh", "-c", "cat /proc/1/cmdline; read y; exit 5")
            await talk.wait_output("second", b"echo up")
            await talk.write("second", b"go\n")
            await talk.wait("done second")
            assert talk.exits["second"].code == 5
            await talk.begin("third", "c", "sleep", "600")
            await talk.begin("none", "c", "/no/such/program")
            await talk.wait("started third", "done none")
            assert talk.exits["none"].code == 127
            kill = pb.SignalMessage(name="KILL")
            await talk.say(pb.ExecMessage(process_id="first", signal=kill))
            await talk.wait("done first", "done third")
            assert talk.exits["first"].code == talk.exits["third"].code == 137

    on_engine(engine, story)


def left(engine: Engine) -> list[str]:
    """Return what processes of builds have left."""
    return [name for name in os.listdir(f"{engine.root}/x/b") if len(name) == 64]


@pytest.mark.parametrize("how", ["release", "hang up", "end", "die"])
def test_what_ends_a_container_kills_its_processes(engine: Engine, how: str) -> None:
    async def story() -> None:
        async with plain_http2(engine) as client, driven(client, f"exec-{how}") as bridge:
            await new(bridge, "c", await bridge.solve(BUSYBOX))
            async with talking(bridge) as talk:
                await talk.begin("p", "c", "sh", "-c", "echo up; sleep 600")
                await talk.wait_output("p", b"up")
                assert left(engine)
                if how == "release":
                    asked = pb.ReleaseContainerRequest(container_id="c")
                    await bridge.ask("ReleaseContainer", asked, pb.ReleaseContainerResponse)
                    await talk.wait("done p")
                    assert talk.exits["p"].code == 255
                elif how == "hang up":
                    await talk.stream.finish()
                elif how == "end":
                    await bridge.give_back()
                else:
                    client.close()
                async with asyncio.timeout(30 * PATIENCE):
                    while left(engine):  # noqa: ASYNC110
                        await asyncio.sleep(0.05)

    asyncio.run(story())


def test_what_makes_no_sense_is_refused(engine: Engine) -> None:
    async def story(client: Http2) -> None:
        async with driven(client, "exec-odd") as bridge:
            with pytest.raises(Failed, match="no such result") as failure:
                await new(bridge, "c", "nothing")
            assert failure.value.code is Code.NOT_FOUND
            ref = await bridge.solve(BUSYBOX)
            await new(bridge, "c", ref)
            with pytest.raises(Failed, match="already exists"):
                await new(bridge, "c", ref)
            insecure = pb.NewContainerRequest(container_id="h", network=solver.NET_HOST)
            with pytest.raises(Failed, match=r"network\.host"):
                await bridge.ask("NewContainer", insecure, pb.NewContainerResponse)
            for message in (
                pb.ExecMessage(process_id="p", file=pb.FileMessage(data=b"x")),
                pb.ExecMessage(process_id="p", init=pb.InitMessage(container_id="other")),
            ):
                async with talking(bridge) as talk:
                    await talk.say(message)
                    with pytest.raises(Failed):
                        await talk.hear()

    on_engine(engine, story)


def test_what_a_killed_daemon_leaves_of_a_container_is_ended_by_the_next(
    own_engine: Engine,
) -> None:
    engine = own_engine
    engine.boxship("image", "bootstrap", "busybox")

    async def story() -> None:
        async with plain_http2(engine) as client, driven(client, "exec-killed") as bridge:
            await new(bridge, "c", await bridge.solve(BUSYBOX))
            async with talking(bridge) as talk:
                await talk.begin("p", "c", "sh", "-c", "echo up; sleep 600")
                await talk.wait_output("p", b"up")
                engine.kill()

    asyncio.run(story())
    assert left(engine)
    engine.start()

    async def later() -> None:
        async with plain_http2(engine) as client, driven(client, "exec-later") as bridge:
            await bridge.solve(BUSYBOX)  # who knocks first waits until that is done
            assert not left(engine)

    asyncio.run(later())
