"""Graphs solved by the builder, without a door: results, cache, mounts, what is left behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.building import Heard, Workshop, copy, image, run
from tests.support.stories import tell

from boxship.build import ops
from boxship.build.errors import BuildFailed, NotEntitled
from boxship.build.filesystems import Layers
from boxship.build.ops import (
    About,
    Action,
    Bind,
    Cache,
    Diff,
    Exec,
    Files,
    MakeFile,
    MakeFolder,
    Merge,
    Network,
    Ref,
    Secret,
    Security,
    Sharing,
    Source,
    Tmpfs,
    Vertex,
)
from boxship.build.solver.solver import _Solving
from boxship.errors import NotFound, NotSupported
from boxship.spec.platform import Platform


def folder(path: Path, shop: Workshop) -> Ref:
    """A context with the files of `path`."""
    identifier, place = shop.builder.contexts.new().__enter__()
    subprocess.run(["cp", "-a", f"{path}/.", place], check=True)
    return Ref(Vertex(Source(identifier), about=About(name="context")))


class Client:
    """A client that has secrets, and nothing else."""

    id = "client"
    shared_key = ""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self.secrets = secrets

    async def secret(self, id: str) -> bytes:
        if id not in self.secrets:
            raise NotFound(id)
        return self.secrets[id]

    async def credentials(self, host: str) -> Any:
        raise NotSupported("none")


def test_steps_build_on_each_other_and_run_once() -> None:
    async def story(shop: Workshop) -> None:
        first = run(image("busybox"), "echo one > /one; echo said; echo wrong >&2")
        second = run(first, "cat /one > /two; rm /one; mkdir -p /var/x")
        heard = Heard()
        built = await shop.build(second, heard, tags=("t:a", "t:b"))
        assert "said\n" in heard.output
        assert "wrong\n" in heard.output
        assert shop.read("t:b", "/two") == b"one\n"
        with pytest.raises(FileNotFoundError):
            shop.read("t:a", "/one")
        again = Heard()
        rebuilt = await shop.build(second, again, tags=("t:c",))
        assert "RUN" not in " ".join(again.ran())
        assert again.state(second.vertex.about.name).cached
        assert rebuilt.image == built.image

    tell(story, 0)


def test_a_file_that_is_not_copied_changes_nothing(tmp_path: Path) -> None:
    async def story(shop: Workshop) -> None:
        (tmp_path / "wanted").write_text("1")
        (tmp_path / "other").write_text("1")

        async def build() -> list[str]:
            heard = Heard()
            context = folder(tmp_path, shop)
            result = copy(image("busybox"), context, "/wanted", "/in/", "copy")
            await shop.build(run(result, "cat /in/wanted", "after"), heard, tags=("t:1",))
            return [name for name in heard.ran() if name in ("copy", "after")]

        assert await build() == ["copy", "after"]
        assert await build() == []
        (tmp_path / "other").write_text("2")
        os.utime(tmp_path / "wanted", (1, 1))
        assert await build() == []
        (tmp_path / "wanted").write_text("2")
        assert await build() == ["copy", "after"]
        assert shop.read("t:1", "/in/wanted") == b"2"
        (tmp_path / "wanted").write_text("1")
        assert await build() == []  # as it was before

    tell(story, 1)


def test_independent_steps_run_side_by_side_and_shared_ones_once() -> None:
    async def story(shop: Workshop) -> None:
        below = run(image("busybox"), "echo x >> /count", "shared")
        meet = (Cache("/c", "meeting"),)
        wait = "n=0; while [ ! -e /c/{0} ] && [ $n -lt 200 ]; do n=$((n+1)); sleep 0.1; done; "
        wait += "test -e /c/{0}"
        one = run(below, "touch /a /c/a; " + wait.format("b"), "one", mounts=meet)
        two = run(below, "touch /b /c/b; " + wait.format("a"), "two", mounts=meet)
        both = copy(one, two, "/b", "/b", "both")
        heard, other = Heard(), Heard()
        await asyncio.gather(
            shop.build(both, heard, tags=("t:1",)), shop.build(both, other, tags=("t:2",))
        )
        assert shop.read("t:1", "/count") == b"x\n"
        images = shop.engine.images
        assert images.get("t:1").variant.diff_ids == images.get("t:2").variant.diff_ids

    tell(story, 2)


def test_a_failing_step_says_so_in_the_words_clients_know() -> None:
    async def story(shop: Workshop) -> None:
        bad = run(image("busybox"), "echo before; exit 3", "bad")
        heard = Heard()
        with pytest.raises(BuildFailed) as failure:
            await shop.build(run(bad, "true"), heard)
        assert str(failure.value) == (
            'process "/bin/sh -c echo before; exit 3" did not complete successfully: exit code: 3'
        )
        assert failure.value.vertex == bad.vertex
        assert heard.state("bad").error == str(failure.value)
        assert "before\n" in heard.output

    tell(story, 3)


def test_a_cancelled_build_ends_its_processes_and_leaves_nothing() -> None:
    async def story(shop: Workshop) -> None:
        heard = Heard()
        slow = run(image("busybox"), "echo begun; sleep 1000", "slow")
        building = asyncio.create_task(shop.build(slow, heard))
        staying = asyncio.create_task(shop.build(slow))
        await heard.wait("begun")
        building.cancel()
        await asyncio.wait([building])
        assert shop.builder.running  # somebody else still waits for it
        staying.cancel()
        await asyncio.wait([staying])
        assert not shop.builder.running

    tell(story, 4)


@pytest.mark.parametrize("first", ["kill", "cancel"])
def test_a_build_cancelled_as_its_keeper_is_killed_leaves_nothing(first: str) -> None:
    """Whichever the engine hears of first: neither the process nor its group is left."""

    async def story(shop: Workshop) -> None:
        heard = Heard()
        slow = run(image("busybox"), "echo begun; exec sleep 1000", f"slow {first}")
        building = asyncio.create_task(shop.build(slow, heard))
        await heard.wait("begun")
        (name,) = shop.builder.running
        (process,) = {pid for group in groups(name) for pid in processes_in(group)}
        keeper = int(re.findall(r"PPid:\s*(\d+)", Path(f"/proc/{process}/status").read_text())[0])
        if first == "kill":  # nothing is awaited in between: it is not heard of before
            os.kill(keeper, signal.SIGKILL)
            building.cancel()
        else:
            building.cancel()
            await asyncio.sleep(0)
            os.kill(keeper, signal.SIGKILL)
        await asyncio.wait([building])
        assert building.cancelled()
        assert not groups(name)  # nor a process: a group that has one cannot be removed

    tell(story, 30 + len(first))


def groups(name: str) -> list[str]:
    """Return the control groups of a process."""
    return [folder for folder, _, _ in os.walk("/sys/fs/cgroup") if name in folder]


def processes_in(group: str) -> list[int]:
    return [int(line) for line in Path(group, "cgroup.procs").read_text().split()]


def test_a_step_that_another_build_has_done_meanwhile_is_not_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second build looks the step up before the first has done it, and waits until it has."""

    async def story(shop: Workshop) -> None:
        first, second = Heard(), Heard()
        keyed, done = asyncio.Event(), asyncio.Event()
        inputs = _Solving._inputs
        below = run(image("busybox"), "echo below", "below")
        step = run(below, "echo x >> /count; cat /count; head -c 8 /dev/urandom > /random", "step")

        async def held_up(self: Any, vertex: Vertex) -> Any:
            found = await inputs(self, vertex)
            if vertex == step.vertex and self._job.report is second:
                keyed.set()
                await done.wait()
            return found

        monkeypatch.setattr(_Solving, "_inputs", held_up)
        slow = asyncio.create_task(shop.build(step, second, tags=("again:2",)))
        await keyed.wait()
        await shop.build(step, first, tags=("again:1",))
        done.set()
        await slow
        assert "step" in first.ran()
        assert "x\n" in first.output
        assert "x\n" not in second.output
        assert second.state("step").cached
        images = shop.engine.images
        assert images.get("again:1").id == images.get("again:2").id

    tell(story, 35)


def test_mounts_are_there_while_the_process_runs_and_not_in_the_result() -> None:
    async def story(shop: Workshop) -> None:
        files = Ref(
            Vertex(
                Files(
                    (
                        Action(MakeFolder("/d"), ops.SCRATCH),
                        Action(MakeFile("/d/f", b"bound"), 0, output=0),
                    )
                )
            )
        )
        mounts = (
            Bind("/new/place/bound", 1, "/d", readonly=True),
            Cache("/cache", "my-cache"),
            Tmpfs("/new/tmp", 1 << 20),
            Secret("/run/secrets/s", "s", mode=0o400),
        )
        step = run(
            image("busybox"),
            "cat /new/place/bound/f /run/secrets/s > /got; stat -c %a /run/secrets/s >> /got; "
            "echo $(cat /cache/n 2>/dev/null)x > /cache/n; cat /cache/n >> /got; "
            "(touch /new/place/bound/no) 2>/dev/null || echo readonly >> /got; "
            "grep -c ' /new/tmp tmpfs' /proc/mounts >> /got; echo $RANDOMLY >> /got",
            "mounted",
            mounts=mounts,
            inputs=(files,),
        )
        builder = replace(shop.builder, sessions=sessions({"s": b"4-s3cret-v4lue\n"}))
        from boxship.build.request import BuildRequest, Graph, Target

        async def build(ref: Ref) -> None:
            request = BuildRequest(frontend=Graph((Target(ref),)), tags=("t:1",), sessions=("c",))
            await builder.build(request, Heard())

        await build(step)
        assert shop.read("t:1", "/got") == b"bound4-s3cret-v4lue\n400\nx\nreadonly\n1\n\n"
        found = shop.engine.images.get("t:1")
        with shop.builder.filesystems.looking(Layers(found.chain_id)) as root:
            names = os.listdir(root)
        assert "new" not in names
        assert "cache" not in names
        assert "secrets" not in names
        await build(
            run(
                image("busybox"), "cp /cache/n /got", "again", mounts=(Cache("/cache", "my-cache"),)
            )
        )
        assert shop.read("t:1", "/got") == b"x\n"
        data = b"".join(p.read_bytes() for p in (shop.root / "data").rglob("*") if p.is_file())
        assert data.count(b"4-s3cret-v4lue") == 2  # what the step itself wrote: layer and blob

    tell(story, 5)


def sessions(secrets: dict[str, bytes]) -> Any:
    async def find(wanted: object) -> list[Any]:
        return [Client(secrets)]

    return find


def test_a_private_cache_is_nobody_elses_and_a_locked_one_is_waited_for() -> None:
    async def story(shop: Workshop) -> None:
        def step(number: int, sharing: Sharing) -> Ref:
            return run(
                image("busybox"),
                f": {number}; test ! -e /c/busy && touch /c/busy && sleep 0.3 && rm /c/busy",
                mounts=(Cache("/c", f"cache-{sharing.value}", sharing),),
            )

        for sharing in (Sharing.LOCKED, Sharing.PRIVATE):
            await asyncio.gather(*(shop.build(step(n, sharing)) for n in range(3)))
        shared = [shop.build(step(n, Sharing.SHARED)) for n in range(2)]
        done = await asyncio.gather(*shared, return_exceptions=True)
        assert sum(isinstance(one, BuildFailed) for one in done) == 1

    tell(story, 6)


def test_insecure_steps_and_the_hosts_network_need_consent() -> None:
    async def story(shop: Workshop) -> None:
        base = image("busybox")
        mounts = (Bind("/", 0, output=0),)
        for more in ({"security": Security.INSECURE}, {"network": Network.HOST}):
            op = Exec(("/bin/true",), mounts=mounts, **more)
            with pytest.raises(BuildFailed, match="not allowed"):
                await shop.build(Ref(Vertex(op, (base,))))
        with pytest.raises(NotEntitled):
            await shop.build(base, entitlements=frozenset({"security.insecure"}))
        op = Exec(("/bin/true",), mounts=mounts, network=Network.HOST)
        await shop.build(Ref(Vertex(op, (base,))), entitlements=frozenset({"network.host"}))

    tell(story, 7)


def test_merge_and_diff_lay_changes_over_each_other() -> None:
    async def story(shop: Workshop) -> None:
        base = image("busybox")
        changed = run(base, "echo a > /a; rm -rf /bin/vi; mkdir /etc/deep; echo b > /etc/deep/b")
        change = Ref(Vertex(Diff(), (base, changed)))
        other = run(base, "echo c > /c")
        merged = Ref(Vertex(Merge(), (other, change)))
        await shop.build(merged, tags=("t:1",))
        assert shop.read("t:1", "/a") == b"a\n"
        assert shop.read("t:1", "/c") == b"c\n"
        assert shop.read("t:1", "/etc/deep/b") == b"b\n"
        with pytest.raises(FileNotFoundError):
            shop.read("t:1", "/bin/vi")
        across = Ref(Vertex(Diff(), (other, changed)))
        await shop.build(Ref(Vertex(Merge(), (other, across))), tags=("t:2",))
        with pytest.raises(FileNotFoundError):
            shop.read("t:2", "/c")
        assert shop.read("t:2", "/a") == b"a\n"

    tell(story, 8)


def test_the_cache_survives_a_restart_and_is_pruned_to_size() -> None:
    async def story(shop: Workshop) -> None:
        cache = shop.builder.cache
        await shop.build(
            run(image("busybox"), "head -c 300000 /dev/zero > /z", "big"), tags=("t:1",)
        )
        await shop.build(run(image("busybox"), "echo small > /s", "small"), exports=())
        mounts = (Cache("/c", "id"),)
        await shop.build(run(image("busybox"), ": > /c/x", mounts=mounts), exports=())
        kinds = sorted(one.kind.value for one in cache.usage())
        assert kinds == ["exec.cachemount", "regular", "regular", "regular"]
        assert [one.description for one in cache.usage({"shared": ["true"]})] == ["big"]
        gone = await cache.prune({"type": ["exec.cachemount"]})
        assert [one.kind.value for one in gone] == ["exec.cachemount"]
        gone = await cache.prune({})
        assert "big" not in [one.description for one in gone]
        assert shop.read("t:1", "/z") == bytes(300000)
        heard = Heard()
        await shop.build(run(image("busybox"), "echo small > /s", "small"), heard, tags=("t:2",))
        assert "small" in heard.ran()

    tell(story, 10)


def test_programs_of_other_machines_are_refused_clearly() -> None:
    async def story(shop: Workshop) -> None:
        vertex = run(image("busybox"), "true").vertex
        step = Ref(Vertex(vertex.op, vertex.inputs, Platform("linux", "mips64le"), vertex.about))
        with pytest.raises(BuildFailed, match="binfmt_misc has no interpreter qemu-mips64el"):
            await shop.build(step)

    tell(story, 14)
