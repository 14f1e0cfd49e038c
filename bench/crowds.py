"""The workloads of many containers: throughput, memory, lists, idle time, streams of figures."""

from __future__ import annotations

import contextlib
import selectors
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.api import Api
from bench.engines import Peer
from bench.measure import FAILURES, Effort, Row, Stage, stopwatch, tell
from bench.processes import engine_processes, memory, share_of_core
from bench.workloads import cli_ps, create, listing, middle, remove

WATCHED = 20
Step = Callable[[Peer], None]


class Crowd:
    """Containers that are made, started, stopped and removed, some at a time."""

    def __init__(self, count: int, at_a_time: int) -> None:
        self._count = count
        self._at_a_time = at_a_time
        self._made: list[str] = []

    def _spread(self, peer: Peer, work: Callable[[Api, int], str]) -> float:
        """Share the work out; return the milliseconds for each container."""
        apis = [peer.api() for _ in range(self._at_a_time)]

        def share(index: int) -> None:
            for number in range(index, self._count, self._at_a_time):
                self._made[number] = work(apis[index], number)

        with ThreadPoolExecutor(self._at_a_time) as pool, stopwatch() as seconds:
            list(pool.map(share, range(self._at_a_time)))
            took = seconds() * 1e3 / self._count
        for api in apis:
            api.close()
        return took

    def create(self, peer: Peer) -> float:
        self._made = [""] * self._count
        return self._spread(peer, lambda api, _: create(api, "sleep", "3600"))

    def start(self, peer: Peer) -> float:
        def work(api: Api, number: int) -> str:
            self._made[number] = container = create(api, "sleep", "3600")
            api.call("POST", f"/containers/{container}/start")
            return container

        self._made = [""] * self._count
        return self._spread(peer, work)

    def stop(self, peer: Peer) -> float:
        def work(api: Api, number: int) -> str:
            api.call("POST", f"/containers/{self._made[number]}/stop?t=0")
            return self._made[number]

        return self._spread(peer, work)

    def remove(self, peer: Peer) -> float:
        def work(api: Api, number: int) -> str:
            remove(api, self._made[number])
            return ""

        return self._spread(peer, work)

    def running(self) -> Sequence[str]:
        """Return the IDs of those that were started."""
        return self._made

    def clear(self, peer: Peer) -> None:
        """Remove what a failure has left."""
        api = peer.api()
        for container in filter(None, self._made):
            with contextlib.suppress(*FAILURES):
                remove(api, container)
        self._made = []


def throughput(effort: Effort, at_a_time: int) -> Stage:
    """Many containers; where one is started at a time, what they cost while they run as well."""
    count = effort.crowd
    how = f"{at_a_time} at a time"
    start = Row(f"create + start each of {count}, {how}", "ms")
    stop = Row(f"stop -t0 each, {how}", "ms")
    gone = Row(f"rm each, {how}", "ms")
    looks = Looks(effort) if at_a_time == 1 else None

    def measure(peers: Sequence[Peer], effort: Effort) -> None:
        for peer in peers:
            crowd = Crowd(count, at_a_time)
            try:
                if looks:
                    looks.before(peer)
                start.add(peer, crowd.start(peer))
                if looks:
                    looks.running(peer)
                stop.add(peer, crowd.stop(peer))
                gone.add(peer, crowd.remove(peer))
            except FAILURES as error:
                tell(f"{start.name}: {peer.name}: {error}")
            finally:
                crowd.clear(peer)

    return Stage([start, stop, gone, *(looks.rows if looks else ())], measure)


class Looks:
    """What an engine takes while nothing is asked, before and while containers run."""

    def __init__(self, effort: Effort) -> None:
        count = effort.crowd
        self._effort = effort
        self._idle = [Row(f"idle engine, {kind}", "MiB") for kind in ("PSS", "RSS")]
        self._each = [
            Row(f"for each of {count} running containers, {kind}", "MiB") for kind in ("PSS", "RSS")
        ]
        self._whole = Row(f"the engine with {count} running, PSS", "MiB")
        self._cpu = Row(f"idle CPU, {count} running", "% of a core")
        self._ps = Row(f"API ps, {count} running", "ms")
        self._cli_ps = Row(f"docker ps, {count} running", "ms")
        self.rows = [*self._idle, *self._each, self._whole, self._cpu, self._ps, self._cli_ps]
        self._before: dict[str, tuple[float, float]] = {}

    def _memory(self, peer: Peer) -> tuple[float, float]:
        pids = engine_processes(peer)
        return memory(pids, "Pss"), memory(pids, "Rss")

    def before(self, peer: Peer) -> None:
        # By then what a burst has taken is given back, and its idle processes have gone.
        time.sleep(min(12.0, self._effort.idle))
        self._before[peer.name] = self._memory(peer)
        for row, figure in zip(self._idle, self._before[peer.name], strict=True):
            row.add(peer, figure)

    def running(self, peer: Peer) -> None:
        now = self._memory(peer)
        for row, before, after in zip(self._each, self._before[peer.name], now, strict=True):
            row.add(peer, (after - before) / self._effort.crowd)
        self._whole.add(peer, now[0])
        self._cpu.add(peer, share_of_core(peer, self._effort.idle, time.sleep)[0])
        for _ in range(5):
            self._ps.add(peer, listing(peer))
            self._cli_ps.add(peer, cli_ps(peer))


def created(effort: Effort) -> Stage:
    """A long list of containers that do not run."""
    row = Row(f"API ps -a, {effort.created} created", "ms")
    making = Row(f"creates, {effort.created} of them, 8 at a time", "ms")
    gone = Row("removes of them", "ms")

    def measure(peers: Sequence[Peer], effort: Effort) -> None:
        for peer in peers:
            crowd = Crowd(effort.created, 8)
            try:
                making.add(peer, crowd.create(peer))
                api = peer.api()
                for _ in range(3):
                    took = middle(5, lambda api=api: api.call("GET", "/containers/json?all=1"))  # type: ignore[misc]
                    row.add(peer, took * 1e3)
                gone.add(peer, crowd.remove(peer))
            except FAILURES as error:
                tell(f"{row.name}: {peer.name}: {error}")
            finally:
                crowd.clear(peer)

    return Stage([making, row, gone], measure)


def watched() -> Stage:
    """Streams of figures of some containers, as `docker stats` asks for them."""
    share = Row(f"stats streams of {WATCHED} containers", "% of a core")
    rate = Row("figures that come from them", "1/s", more_is_better=True)

    def measure(peers: Sequence[Peer], effort: Effort) -> None:
        for peer in peers:
            crowd = Crowd(WATCHED, 4)
            try:
                crowd.start(peer)
                _watch(peer, crowd, effort)
            except FAILURES as error:
                tell(f"{share.name}: {peer.name}: {error}")
            finally:
                crowd.clear(peer)

    def _watch(peer: Peer, crowd: Crowd, effort: Effort) -> None:
        with contextlib.ExitStack() as undo:
            chosen = undo.enter_context(selectors.DefaultSelector())
            for container in crowd.running():
                stream = undo.enter_context(
                    contextlib.closing(peer.api().follow(f"/containers/{container}/stats"))
                )
                chosen.register(stream, selectors.EVENT_READ)
            _count(chosen, 2.0)  # until all have begun
            used, came = share_of_core(peer, effort.idle, lambda asked: _count(chosen, asked))
            share.add(peer, used)
            rate.add(peer, came / effort.idle)

    return Stage([share, rate], measure)


def _count(chosen: selectors.BaseSelector, seconds: float) -> int:
    """Read for a while; return how many documents came."""
    came, until = 0, time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        for key, _ in chosen.select(left):
            came += key.fileobj.recv(1 << 16).count(b'"read":')  # type: ignore[union-attr]
    return came


def stages(effort: Effort) -> Iterator[Stage]:
    """Yield the rows of many containers."""
    yield watched()
    yield throughput(effort, 1)
    yield throughput(effort, 8)
    yield created(effort)
