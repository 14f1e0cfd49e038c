"""Which front end is asked for, what an image must be able to do, and when it does nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from boxship.build.control import frontend, frontendimages
from boxship.build.control.frontendimages import Calls, FrontendImages, Image
from boxship.build.control.gateway import Wanted, blank_text
from boxship.build.dockerfile import image as images
from boxship.build.ops import Ref, Source, Vertex
from boxship.build.request import BuildRequest
from boxship.errors import InvalidRequest, NotSupported
from boxship.spec.buildkit import solver_pb2 as solver
from boxship.spec.platform import Platform
from boxship.wire.grpc import Code, Failed

AMD64 = Platform("linux", "amd64")
SYNTAX = "build-arg:BUILDKIT_SYNTAX"
OURS = "# syntax=docker/dockerfile:1"


@pytest.mark.parametrize(
    ("text", "options", "image"),
    [
        ("FROM x", {}, None),
        ("# syntax=docker/dockerfile:1\nFROM x", {}, None),
        ("# syntax = docker.io/docker/dockerfile:1.7-labs\nFROM x", {}, None),
        ("# syntax=docker/dockerfile@sha256:" + "a" * 64, {}, None),
        ("# syntax=docker/dockerfiles", {}, "docker/dockerfiles"),
        ("# syntax=mirror.example/docker/dockerfile:1", {}, "mirror.example/docker/dockerfile:1"),
        ("# syntax=a/b:1 and more\nFROM x", {}, "a/b:1"),
        ("#!/bin/x\n// syntax=a/b\n", {}, "a/b"),
        ('{"syntax": "a/b"}', {}, "a/b"),
        ("\n# syntax=a/b\n", {}, None),
        ("# syntax=a/b\n", {"cmdline": "a/b"}, None),
        ("# syntax=a/b\n", {SYNTAX: "docker/dockerfile"}, None),
        ("FROM x", {SYNTAX: " c/d --flag "}, "c/d"),
        (
            "# syntax=docker/dockerfile:1",
            {"context:docker/dockerfile:1": "x"},
            "docker/dockerfile:1",
        ),
        (OURS, {"context:docker/dockerfile:2": "x"}, None),
    ],
)
def test_a_file_says_which_front_end_reads_it(
    text: str, options: dict[str, str], image: str | None
) -> None:
    found = frontend._forwarded(options, "Dockerfile", text.encode())
    assert (found and found.image) == image


def test_front_ends_that_are_none_are_refused_by_name() -> None:
    assert frontend.image_of("dockerfile.v0", {}) is None
    assert frontend.image_of("gateway.v0", {"source": "docker/dockerfile:1"}) is None
    assert frontend.image_of("gateway.v0", {"source": "a/b"}) == "a/b"
    with pytest.raises(NotSupported, match="nonsense"):
        frontend.image_of("nonsense", {})
    with pytest.raises(InvalidRequest, match="no source"):
        frontend.image_of("gateway.v0", {})


def image_that(**labels: str) -> Image:
    config = images.empty(AMD64)
    images.run_config(config).labels = {k.replace("_", "."): v for k, v in labels.items()}
    return Image(Ref(Vertex(Source("docker-image://x"))), config)


@pytest.mark.parametrize(
    ("needed", "given", "able", "lacks"),
    [
        ("", False, "", ""),
        ("a,b+forward", False, "a,b,c", ""),
        ("a,b+forward", False, "a", "b"),
        ("", True, "", "moby.buildkit.frontend.inputs"),
        ("", True, "moby.buildkit.frontend.inputs", ""),
    ],
)
def test_an_image_must_be_able_to_do_what_is_needed(
    needed: str, given: bool, able: str, lacks: str
) -> None:
    inputs = {"context": solver.Definition()} if given else {}
    wanted = Wanted("x", {"frontend.caps": needed}, inputs, BuildRequest(frontend=blank_text()))
    image = image_that(moby_buildkit_frontend_caps=able)
    if not lacks:
        frontendimages._check_caps(wanted, image)
        return
    with pytest.raises(Failed, match=f"unsupported frontend capability {lacks}") as failure:
        frontendimages._check_caps(wanted, image)
    assert failure.value.code is Code.UNIMPLEMENTED
    assert b"FrontendCap" in failure.value.details


def test_frontends_that_run_frontends_come_to_an_end() -> None:
    async def worker() -> Any:
        raise AssertionError

    runs = FrontendImages(cast(Any, None), worker, AMD64)
    wanted = Wanted("x", {}, {}, BuildRequest(frontend=blank_text()))
    deep = SimpleNamespace(depth=frontendimages.DEEPEST + 1)
    with pytest.raises(InvalidRequest, match="too deep"):
        asyncio.run(runs.run(wanted, cast(Any, deep), lambda told: None))


class Slow:
    """A call that takes until it is let go."""

    path = frontendimages.HEALTH

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.begun = asyncio.Event()

    async def receive(self) -> None:
        self.begun.set()
        await self.go.wait()

    async def send(self, data: bytes) -> None:
        pass


def test_one_that_waits_for_an_answer_is_not_idle() -> None:
    async def story() -> None:
        async def worker() -> Any:
            raise AssertionError

        calls, slow = Calls(cast(Any, None), worker), Slow()
        calling = asyncio.ensure_future(calls.serve(cast(Any, slow)))
        await slow.begun.wait()
        idle = asyncio.ensure_future(calls.wait_idle(0.0))
        await asyncio.sleep(0)
        assert not idle.done()
        slow.go.set()
        await calling
        async with asyncio.timeout(30):
            await idle

    asyncio.run(story())
