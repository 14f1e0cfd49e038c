"""Where the time of a start goes: `python -m bench.stamps [--only start|exec|end]`.

Runs an engine whose functions, those named below, note when they begin and end, in the daemon and
in all that its spawner forks, and prints a time line: medians over many starts, in milliseconds
since the request. The engine's own files know nothing of it. A stamp costs 2 microseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import importlib
import os
import statistics
import struct
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from bench import workloads as w
from bench.engines import CHECKOUT, boxship

DAEMON: Final = (
    "boxship.container.containers:Containers.start",
    "boxship.container.containers:Containers.wait",
    "boxship.container.starting:Starting.start",
    "boxship.container.starting:Starting._make_ready",
    "boxship.container.starting:Starting._write_bundle",
    "boxship.container.starting:Starting._request",
    "boxship.container.registry:Registry.put",
    "boxship.container.execs:Execs.create",
    "boxship.container.execs:Execs.start",
    "boxship.container.execs:Execs._process",
    "boxship.container.ending:Endings._ended",
    "boxship.container.ending:Endings._give_back",
    "boxship.network.networks:Networks._open",
    "boxship.network.networks:Networks._close_sandbox",
    "boxship.snapshot.snapshots:Snapshots.open",
    "boxship.shim.spawning:Spawner.spawn",
    "boxship.shim.client:Shim.start",
    "boxship.shim.client:Shim.exec",
    "boxship.shim.client:Shim._take",
)
SHIM: Final = (
    "boxship.shim.spawner:Nursery.hand_over",
    "boxship.shim.spawner:Nursery.fork",
    "boxship.shim.life:Life._keep",
    "boxship.shim.keeper:Keeper.begin",
    "boxship.shim.keeper:Keeper._start",
    "boxship.shim.keeper:Keeper._exec",
    "boxship.shim.keeper:Keeper._stand",
    "boxship.shim.keeper:Keeper._has_started",
    "boxship.shim.keeper:Keeper._container_ended",
    "boxship.shim.keeper:Keeper._exec_ended",
    "boxship.shim.container:Container.__init__",
    "boxship.shim.container:Container.start",
    "boxship.shim.container:Container.exec",
    "boxship.shim.starters:Starters.start",
    "boxship.shim.starters:Starters._on_answer",
    "boxship.shim.starter:Starter._work",
    "boxship.shim.starter:Starter._planned",
    "boxship.shim.starter:Starter._wait_for_word",
    "boxship.shim.starter:Starter._wait",
    "boxship.runtime.ahead:Ahead.first",
    "boxship.runtime.ahead:Ahead.further",
    "boxship.runtime.prepared:Performer.begin",
    "boxship.runtime.prepared:Placed.__enter__",
    "boxship.runtime.stub:Stub.clone",
    "boxship.runtime.plans:Plans.make_group",
    "boxship.runtime.plans:Plans._filter",
    "boxship.runtime.ahead:Ahead._lay_out",
    "boxship.runtime.templates:Templates.get",
    "boxship.shim.container:Container.watch_memory",
    "boxship.shim.container:Container.delete",
    "boxship.shim.record:write_exit",
    "boxship.shim.record:write_standing",
    "boxship.shim.job:read_spec",
    "boxship.runtime.init:plan",
    "boxship.runtime.enter:plan",
    "boxship.runtime.sources:gather",
    "boxship.runtime.memory:Memory.__init__",
    "boxship.runtime.launch:Launched.follow",
    "boxship.runtime.launch:Launched.advance",
    "boxship.runtime.launch:Launched.close",
)
_STAMP: Final = struct.Struct("QQI48s")


class Log:
    """Where stamps go. A forked process closes what it has from its parent, and opens it anew."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._pid = -1
        self._file = -1

    def write(self, began: int, label: bytes) -> None:
        ended, pid = time.monotonic_ns(), os.getpid()
        if pid != self._pid:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._file, self._pid = os.open(self._path, flags, 0o600), pid
        os.write(self._file, _STAMP.pack(began, ended, pid, label))


def stamped(name: str, work: Callable[..., Any], log: Log) -> Callable[..., Any]:
    """Return `work` with a note of when it was called and when it returned."""
    label = name.partition(":")[2].encode()[:48]

    def note(began: int) -> None:
        log.write(began, label)

    @functools.wraps(work)
    def plain(*args: Any, **more: Any) -> Any:
        began = time.monotonic_ns()
        try:
            return work(*args, **more)
        finally:
            note(began)

    @functools.wraps(work)
    async def waiting(*args: Any, **more: Any) -> Any:
        began = time.monotonic_ns()
        try:
            return await work(*args, **more)
        finally:
            note(began)

    return waiting if asyncio.iscoroutinefunction(work) else plain


def instrument(names: tuple[str, ...], path: str) -> None:
    """Put stamps around functions, wherever they have been imported to."""
    log = Log(path)
    for name in names:
        module_name, _, dotted = name.partition(":")
        owner: Any = importlib.import_module(module_name)
        *outer, last = dotted.split(".")
        for part in outer:
            owner = getattr(owner, part, None)
        work = getattr(owner, last, None)
        if work is None:
            print(f"stamps: there is no {name} any more", file=sys.stderr)
            continue
        changed = stamped(name, work, log)
        setattr(owner, last, changed)
        if not outer:
            for module in list(sys.modules.values()):
                if getattr(module, last, None) is work:
                    setattr(module, last, changed)


def main(descriptor: int, *arguments: str) -> None:
    """Be the spawner, instrumented: the entry that the engine's own spawner is given."""
    *given, path = arguments
    from boxship.shim import entry

    instrument(SHIM, path)
    entry.main(descriptor, *given)


def serve(path: str, words: list[str]) -> int:
    """Be the daemon, instrumented."""
    from boxship.daemon import main as daemon
    from boxship.shim.spawning import Spawner

    begin = Spawner.__init__

    def with_stamps(self: Spawner, *, arguments: Any = (), **more: Any) -> None:
        begin(
            self,
            entry="bench.stamps",
            path=[str(CHECKOUT)],
            arguments=[*arguments, path],
            **more,
        )

    Spawner.__init__ = with_stamps  # type: ignore[method-assign]
    instrument(DAEMON, path)
    return daemon.main(words)


def read(path: Path) -> list[tuple[int, int, int, str]]:
    return [
        (began, ended, pid, label.rstrip(b"\0").decode())
        for began, ended, pid, label in _STAMP.iter_unpack(path.read_bytes())
    ]


def show(title: str, turns: list[tuple[int, list[tuple[int, int, int, str]]]]) -> None:
    """Print the median begin and length of each function, in the order in which they begin."""
    begins: dict[tuple[str, int], list[float]] = defaultdict(list)
    lengths: dict[tuple[str, int], list[float]] = defaultdict(list)
    for zero, stamps in turns:
        seen: dict[str, int] = defaultdict(int)
        for began, ended, _, name in sorted(stamps):
            key = (name, seen[name])
            seen[name] += 1
            begins[key].append((began - zero) / 1e6)
            lengths[key].append((ended - began) / 1e6)
    print(f"\n{title}\n{'begins':>8} {'takes':>8} {'p10':>8} {'times':>6}")
    order = sorted(begins, key=lambda key: statistics.median(begins[key]))
    for key in order:
        if len(begins[key]) * 2 >= len(turns):
            least = sorted(lengths[key])[len(lengths[key]) // 10]
            print(
                f"{statistics.median(begins[key]):8.2f} {statistics.median(lengths[key]):8.2f} "
                f"{least:8.2f} {len(begins[key]):6} {key[0]}{' again' * bool(key[1])}"
            )


def profile(network: str, rounds: int) -> None:
    """Start, exec and end a container many times, and print what took how long."""
    with tempfile.TemporaryDirectory(prefix="bench-stamps-") as folder:
        log = Path(folder, "stamps")
        peer = boxship(Path(folder))
        at = peer.command.index("-m")
        peer.command[at : at + 2] = ["-m", "bench.stamps", "--serve", str(log)]
        with contextlib.ExitStack() as undo:
            undo.callback(peer.stop)
            peer.start()
            peer.load_busybox()
            _rounds(peer, log, network, rounds)


def _rounds(peer: Any, log: Path, network: str, rounds: int) -> None:
    api = peer.api()
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def timed(kind: str, work: Callable[[], Any]) -> Any:
        began = time.monotonic_ns()
        done = work()
        spans[kind].append((began, time.monotonic_ns()))
        return done

    for _ in range(rounds):
        made = w.create(api, "sleep", "60", network=network)
        timed("start", partial(api.call, "POST", f"/containers/{made}/start"))
        time.sleep(0.03)
        timed("exec", partial(w.exec_once, api, made))
        time.sleep(0.03)
        timed("end", partial(api.call, "POST", f"/containers/{made}/kill"))
        api.call("DELETE", f"/containers/{made}?force=1")
        time.sleep(0.03)
    stamps = read(log)
    for kind, found in spans.items():
        took = [(ended - began) / 1e6 for began, ended in found]
        turns = [
            (began, [s for s in stamps if began <= s[0] <= ended + 10_000_000])
            for began, ended in found
        ]
        show(
            f"{kind}, {network}: median {statistics.median(took):.2f} ms, "
            f"best tenth {sorted(took)[len(took) // 10]:.2f} ms",
            turns,
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        sys.exit(serve(sys.argv[2], sys.argv[3:]))
    options = argparse.ArgumentParser(prog="bench.stamps", description=__doc__)
    options.add_argument("--network", default="none")
    options.add_argument("--rounds", type=int, default=50)
    asked = options.parse_args()
    profile(asked.network, asked.rounds)
