"""Measure Boxship beside Debian's dockerd: `python -m bench [--quick] [--only WORD]`.

Needs root, the `docker` client and Debian's dockerd. Both engines write to one ext4 of their own,
loop-mounted for the run: on a used filesystem the figures are noise.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import registry
from bench import workloads as w
from bench.engines import Peer, boxship, dockerd
from bench.measure import Row, table


@contextlib.contextmanager
def fresh_filesystem(size: str = "12G") -> Iterator[Path]:
    """An empty ext4 in a sparse file, mounted for the block."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    disk, mounted = folder / "disk", folder / "m"
    mounted.mkdir()
    subprocess.run(["truncate", "-s", size, str(disk)], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", str(disk)], check=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(mounted)], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "-R", str(mounted)], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def rows() -> Iterator[Row]:
    yield w.cli_run("bridge")
    yield w.cli_run("none")
    yield w.api_cycle("bridge")
    yield w.api_cycle("none")
    yield Row("API create + attach + start to first byte, none", "ms", w.first_byte)
    yield Row("API exec true", "ms", w.api_exec, rounds=3)
    yield Row("docker exec true", "ms", w.cli_exec)
    yield Row("ping, one connection", "us", w.ping)
    yield Row("API inspect container", "us", w.inspect)
    yield Row("log of 200k lines, 100 MB, to exit", "MB/s", w.logs_write, 3, more_is_better=True)
    yield Row("logs read back by API", "MB/s", w.logs_read, 3, more_is_better=True)
    yield Row("attach 512 MiB stdout", "MB/s", w.attach_stdout, 3, more_is_better=True)
    yield Row("exec 512 MiB stdout", "MB/s", w.exec_stdout, 3, more_is_better=True)
    yield Row("exec 512 MiB stdin", "MB/s", w.exec_stdin, 3, more_is_better=True)


def crowd(peers: list[Peer], done: list[Row]) -> None:
    """The figures of many containers: throughput, memory, ps, idle time."""
    for at_a_time in (1, 8):
        hundred = w.Hundred(at_a_time)
        start, stop, remove = hundred.rows()
        memory = Row("memory for each running container, PSS", "MiB", lambda peer: 0.0)
        alone = Row("idle engine, PSS", "MiB", lambda peer: 0.0)
        idle = Row("idle CPU, 100 running", "% of a core", lambda peer: 0.0)
        listing = [w.ps_api(100), w.cli_ps(100)]
        for peer in peers:
            before = w.proportional_memory(w.engine_processes(peer))
            start.figures[peer.name] = [hundred.start(peer)]
            after = w.proportional_memory(w.engine_processes(peer))
            if at_a_time == 1:
                alone.figures[peer.name] = [before]
                memory.figures[peer.name] = [(after - before) / 100]
                idle.figures[peer.name] = [w.idle_share(peer)]
                for row in listing:
                    row.take([peer])
            stop.figures[peer.name] = [hundred.stop(peer)]
            remove.figures[peer.name] = [hundred.remove(peer)]
        done += [start, stop, remove]
        if at_a_time == 1:
            done += [alone, memory, idle, *listing]


def main() -> int:
    options = argparse.ArgumentParser(prog="bench", description=__doc__)
    options.add_argument("--only", default="", help="the rows whose name has this word")
    options.add_argument("--no-peer", action="store_true", help="Boxship alone")
    options.add_argument(
        "--no-crowd", action="store_true", help="leave out the many-container rows"
    )
    options.add_argument("--registry", action="store_true", help="load, save, pull and push too")
    asked = options.parse_args()
    done: list[Row] = []
    with fresh_filesystem() as folder, contextlib.ExitStack() as undo:
        peers = [boxship(folder)] if asked.no_peer else [boxship(folder), dockerd(folder)]
        for peer in peers:
            undo.callback(peer.stop)
            peer.start()
            peer.load_busybox()
        for row in rows():
            if asked.only in row.name:
                try:
                    row.take(peers)
                except (RuntimeError, OSError, AssertionError, subprocess.SubprocessError) as error:
                    print(f"{row.name}: {error}", file=sys.stderr)
                done.append(row)
                for peer in peers:
                    if row.figures.get(peer.name):
                        figure = row.median(peer.name)
                        print(f"{row.name}: {peer.name} {figure:.3g} {row.unit}", file=sys.stderr)
        if not asked.only and not asked.no_crowd:
            crowd(peers, done)
        if asked.registry:
            done += registry.measure(peers, folder)
    print(table(done, "boxship", peers[-1].name))
    if any("podman" in row.figures for row in done):
        print()
        print(table(done, "boxship", "podman"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
