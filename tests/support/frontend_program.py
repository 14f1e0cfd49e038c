"""A frontend as a program: what runs in the images that `tests.support.frontends` makes.

It speaks gRPC over its standard input and output. Which story it plays is said by a build argument.
"""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  (asyncio loads it late: the image needs it)
import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from boxship.build import ops
from boxship.build.control import llbwriting
from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.spec.buildkit import solver_pb2 as solver
from boxship.spec.platform import Platform
from boxship.transport.http2 import Http2
from boxship.transport.tunnel import Tunnel
from boxship.wire.grpc import Failed

BRIDGE = "/moby.buildkit.v1.frontend.LLBBridge/"
PREFIX = "BUILDKIT_FRONTEND_OPT_"
M = TypeVar("M", bound=Message)


class Stdio:
    """Standard input and output, for a connection."""

    async def take(self) -> bytes:
        return await asyncio.to_thread(os.read, 0, 1 << 16)

    async def give(self, data: bytes) -> None:
        while data:
            data = data[os.write(1, data) :]


class Bridge:
    """The engine's side."""

    def __init__(self, client: Http2, options: Mapping[str, str]) -> None:
        self.client = client
        self.options = options

    async def ask(self, method: str, asked: Message, kind: type[M]) -> M:
        return kind.FromString(await self.client.ask(BRIDGE + method, asked.SerializeToString()))

    async def solve(self, root: ops.Ref | None = None, **more: object) -> pb.Result:
        asked = pb.SolveRequest(allow_result_return=True, allow_result_array_ref=True, **more)  # type: ignore[arg-type]
        if root is not None:
            asked.definition.CopyFrom(llbwriting.write(root))
        return (await self.ask("Solve", asked, pb.SolveResponse)).result

    async def give_back(self, result: pb.Result) -> None:
        await self.ask("Return", pb.ReturnRequest(result=result), pb.ReturnResponse)

    async def read(self, ref: str, path: str) -> bytes:
        asked = pb.ReadFileRequest(ref=ref, path=path)
        return (await self.ask("ReadFile", asked, pb.ReadFileResponse)).data


def base() -> ops.Ref:
    image = ops.Source("docker-image://docker.io/library/busybox:latest")
    return ops.Ref(ops.Vertex(image, platform=Platform("linux", "amd64")))


def run(*args: str, on: ops.Ref | None = None, **more: object) -> ops.Ref:
    process = ops.Exec(args, mounts=(ops.Bind("/", 0, output=0),), **more)  # type: ignore[arg-type]
    return ops.Ref(ops.Vertex(process, (on or base(),), platform=Platform("linux", "amd64")))


def folder(source: str) -> ops.Ref:
    return ops.Ref(ops.Vertex(ops.Source(source)))


async def image(bridge: Bridge) -> None:
    """Make an image of what it was told and of the client's files."""
    pong = await bridge.ask("Ping", pb.PingRequest(), pb.PongResponse)
    workers = json.loads(os.environ["BUILDKIT_WORKERS"])
    assert workers[0]["id"] == pong.workers[0].id, workers
    assert workers[0]["platforms"][0]["os"] == "linux"
    assert os.path.getsize("/run/config/buildkit/metadata/frontend.bin")
    context = (await bridge.solve(folder("local://context"))).ref.id
    text = (await bridge.read(context, "Dockerfile")).decode()
    listing = pb.ReadDirRequest(ref=context, path="/")
    found = await bridge.ask("ReadDir", listing, pb.ReadDirResponse)
    asked = pb.StatFileRequest(ref=context, path="Dockerfile")
    known = (await bridge.ask("StatFile", asked, pb.StatFileResponse)).stat
    said = {
        "options": dict(bridge.options),
        "files": [os.fsdecode(one.path) for one in found.entries],
        "size": known.size,
        "text": text,
        "session": bool(os.environ["BUILDKIT_SESSION_ID"]),
        "product": os.environ["BUILDKIT_EXPORTEDPRODUCT"],
        "links": sorted(os.listdir("/sys/class/net")),
    }
    make = ops.Action(ops.MakeFile("/said", json.dumps(said).encode()), 0, output=0)
    root = ops.Ref(ops.Vertex(ops.Files((make,)), (base(),)))
    result = await bridge.solve(root)
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["cat", "/said"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": []},
    }
    result.metadata["containerimage.config"] = json.dumps(config).encode()
    sys.stderr.write("the frontend was here\n")
    sys.stderr.flush()
    await bridge.give_back(result)


async def failure(bridge: Bridge) -> None:
    """Return a failure of its own."""
    asked = pb.ReturnRequest()
    asked.error.code, asked.error.message = 2, "the recipe makes no sense"
    await bridge.ask("Return", asked, pb.ReturnResponse)


async def step(bridge: Bridge) -> None:
    """A step fails; what the engine says of it is not caught."""
    await bridge.solve(run("sh", "-c", "exit 9"), evaluate=True)


async def nothing(bridge: Bridge) -> None:
    """End without a word."""


async def code(bridge: Bridge) -> None:
    sys.exit(7)


async def hang_up(bridge: Bridge) -> None:
    bridge.client.close()
    await asyncio.sleep(600)


async def sleep(bridge: Bridge) -> None:
    sys.stderr.write("asleep\n")
    sys.stderr.flush()
    await asyncio.sleep(600)


async def solving(bridge: Bridge) -> None:
    """Wait for a step that takes long."""
    await bridge.solve(run("sh", "-c", "echo step; sleep 600"), evaluate=True)


async def dockerfile(bridge: Bridge) -> None:
    """Have the Dockerfile frontend build other files than the client's."""
    text = b"FROM busybox\nCOPY given /\nARG SAID\nRUN echo $SAID > /arg\n"
    files = ops.Files(
        (
            ops.Action(ops.MakeFile("/Dockerfile", text), ops.SCRATCH),
            ops.Action(ops.MakeFile("/given", b"by a frontend"), 0, output=0),
        )
    )
    made = llbwriting.write(ops.Ref(ops.Vertex(files)))
    inputs = {"context": made, "dockerfile": made}
    options = {**bridge.options, "filename": "Dockerfile"}
    result = await bridge.solve(
        frontend="dockerfile.v0", frontend_opt=options, frontend_inputs=inputs
    )
    await bridge.give_back(result)


async def other(bridge: Bridge) -> None:
    """Let the same image play another story."""
    options = {**bridge.options, "build-arg:STORY": "image"}
    await bridge.give_back(await bridge.solve(frontend="gateway.v0", frontend_opt=options))


async def further(bridge: Bridge) -> None:
    """Let the same image play the story of attestations, and give back what it gives."""
    options = {**bridge.options, "build-arg:STORY": "attest"}
    await bridge.give_back(await bridge.solve(frontend="gateway.v0", frontend_opt=options))


async def container(bridge: Bridge) -> None:
    """Run a process and make an image of what it says."""
    ref = (await bridge.solve(base())).ref.id
    mounts = [solver.Mount(dest="/", result_id=ref)]
    asked = pb.NewContainerRequest(container_id="c", mounts=mounts)
    await bridge.ask("NewContainer", asked, pb.NewContainerResponse)
    stream = bridge.client.open(BRIDGE + "ExecProcess")
    meta = solver.Meta(args=["sh", "-c", "echo from a container"], cwd="/", env=["PATH=/bin"])
    init = pb.InitMessage(container_id="c", meta=meta, fds=[1, 2])
    await stream.send(pb.ExecMessage(process_id="p", init=init).SerializeToString())
    said = b""
    while (data := await stream.receive()) is not None:
        message = pb.ExecMessage.FromString(data)
        said += message.file.data
        if message.WhichOneof("input") == "done":
            break
    make = ops.Action(ops.MakeFile("/said", said), 0, output=0)
    await bridge.give_back(await bridge.solve(ops.Ref(ops.Vertex(ops.Files((make,)), (base(),)))))


async def question(bridge: Bridge) -> None:
    """Answer what is asked instead of a build."""
    result = pb.Result()
    asked = bridge.options.get("requestid", "")
    result.metadata["result.txt"] = f"asked: {asked}".encode()
    result.metadata["result.json"] = json.dumps({"asked": asked}).encode()
    await bridge.give_back(result)


async def rude(bridge: Bridge) -> None:
    """Break HTTP/2's rules."""
    await bridge.ask("Ping", pb.PingRequest(), pb.PongResponse)
    os.write(1, b"\0\0\1\0\0\0\0\0\0x")  # data of no stream
    await asyncio.sleep(600)


async def old(bridge: Bridge) -> None:
    """Give back as the first clients did."""
    asked = pb.SolveRequest(final=True, exporter_attr=b"{}")
    asked.definition.CopyFrom(llbwriting.write(run("sh", "-c", "echo old > /said")))
    answer = await bridge.ask("Solve", asked, pb.SolveResponse)
    assert answer.ref
    assert answer.result.ref_deprecated == answer.ref


def written(name: str, text: str) -> ops.Ref:
    """A result with a file in a folder."""
    made = ops.Action(ops.MakeFolder("/said"), ops.SCRATCH)
    file = ops.Action(ops.MakeFile(f"/said/{name}", text.encode()), 0, output=0)
    return ops.Ref(ops.Vertex(ops.Files((made, file))))


async def attest(bridge: Bridge) -> None:
    """Return an image and what is to be attested of it: a predicate, and a folder of statements."""
    asked = {name.removeprefix("build-arg:"): value for name, value in bridge.options.items()}
    statement = {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": asked["KIND"],
        "predicate": {"ran": ["them", 2.50]},
        "subject": [{"name": "elsewhere", "digest": {"sha256": "a" * 64}}],
    }
    result = await bridge.solve(base())
    said = result.attestations["linux/amd64"].attestation
    only = {"inline-only": asked.get("INLINE_ONLY", "").encode()}
    kind = "https://example.com/review"
    one = said.add(kind=pb.IN_TOTO, path="said/it", predicate_type=kind, metadata=only)
    one.ref.id = (await bridge.solve(written("it", '{"found": 3}'))).ref.id
    one.subjects.add(kind=pb.SELF)
    one.subjects.add(kind=pb.RAW, name="a commit", digest=["sha1:" + "b" * 40])
    two = said.add(kind=pb.BUNDLE, path=asked.get("PLACE", "/said"), metadata=only)
    two.ref.id = (await bridge.solve(written("one", json.dumps(statement)))).ref.id
    await bridge.give_back(result)


STORIES: dict[str, Callable[[Bridge], Awaitable[None]]] = {
    story.__name__: story
    for story in (
        image, failure, step, nothing, code, hang_up, sleep, solving, dockerfile, other,
        container, question, rude, old, attest, further,
    )
}  # fmt: skip


async def main() -> None:
    given = [value for name, value in os.environ.items() if name.startswith(PREFIX)]
    options = dict(text.split("=", 1) for text in given)
    async with Tunnel(Stdio()) as tunnel:
        client = Http2()
        tunnel.adopt(client)
        bridge = Bridge(client, options)
        try:
            await STORIES[options.get("build-arg:STORY", "image")](bridge)
        except Failed as error:
            asked = pb.ReturnRequest()
            asked.error.code, asked.error.message = int(error.code), str(error)
            await bridge.ask("Return", asked, pb.ReturnResponse)
        except BaseException as error:
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
            end(error.code if isinstance(error, SystemExit) else 1)
    end(0)


def end(code: object) -> None:
    """End at once, though a thread still reads."""
    sys.stderr.flush()
    os._exit(int(str(code)))


if __name__ == "__main__":
    asyncio.run(main())
