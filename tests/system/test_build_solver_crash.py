"""A daemon killed in the middle of builds: nothing is left behind, and the cache is good."""

from __future__ import annotations

import asyncio
import contextlib
import io
import subprocess
import tarfile
import threading
import time
from pathlib import Path

from tests.support.building import workshop
from tests.support.engine import PATIENCE, Engine, another_number, private_engine


def context(dockerfile: str) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        data = dockerfile.encode()
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    packed.seek(0)
    return packed


def build(engine: Engine, dockerfile: str, tag: str) -> None:
    api = engine.api(timeout=60 * PATIENCE)
    with contextlib.closing(api):
        api.images.build(fileobj=context(dockerfile), custom_context=True, tag=tag, rm=True)


def sleepers(seconds: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if line.strip() == f"sleep {seconds}"]


def wait_until(true: object, within: float = 30.0 * PATIENCE) -> None:
    assert callable(true)
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


def test_a_killed_daemon_leaves_no_process_and_a_cache_that_is_right() -> None:
    seconds = "4761.25"
    with private_engine(another_number()) as engine:
        engine.boxship("image", "bootstrap", "busybox")
        first = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /once\n"
        build(engine, first, "t:first")

        def interrupted() -> None:
            with contextlib.suppress(Exception):
                build(engine, f"{first}RUN echo half > /half; sleep {seconds}\n", "t:never")

        thread = threading.Thread(target=interrupted)
        thread.start()
        wait_until(lambda: sleepers(seconds))
        engine.kill()
        thread.join()
        engine.start()
        wait_until(lambda: not sleepers(seconds))
        assert engine.boxship("system", "check").stdout.strip() == "clean"
        build(engine, f"{first}RUN test ! -e /half; cp /once /twice\n", "t:next")
        once = engine.boxship("run", "--rm", "t:first", "cat", "/once").stdout
        twice = engine.boxship("run", "--rm", "t:next", "cat", "/twice").stdout
        assert once == twice  # found in the cache, and not done again
        names = engine.boxship("image", "ls", "-q", "t:never").stdout
        assert names.strip() == ""


def test_layers_that_only_an_unfinished_step_stood_on_go_with_it(tmp_path: Path) -> None:
    """Killed between a layer's new name and its record: the layer was kept by a step, for good."""

    async def killed() -> None:
        async with workshop(another_number(), tmp_path) as shop:
            files = shop.builder.filesystems
            with shop.builder.records.holding() as held:
                layer = files.keep(files.change(None, bare=False), "not recorded", held)
                files.close(files.change(layer.chain, bare=False))

    async def after() -> list[str]:
        async with workshop(another_number(), tmp_path) as shop:
            return list(shop.engine.images.leftovers())

    asyncio.run(killed())
    assert asyncio.run(after()) == []
