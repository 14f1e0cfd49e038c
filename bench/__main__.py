"""Measure Boxship beside Debian's dockerd: `python -m bench [--quick] [--only WORD]`.

Needs root, the `docker` client and Debian's dockerd. Both engines write to one ext4 of their own,
loop-mounted for the run: on a used filesystem the figures are noise. Each row is printed as soon
as it is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import crowds, registry, streams, workloads
from bench.engines import Peer, boxship, dockerd
from bench.measure import FAILURES, QUICK, Effort, Row, Stage, head, line, table, tell


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
        unmount(mounted)
        shutil.rmtree(folder, ignore_errors=True)


def unmount(folder: Path) -> None:
    """Unmount what an engine has left a moment ago, and perhaps not all of its processes yet."""
    for _ in range(20):
        if subprocess.run(["umount", "-R", str(folder)], check=False).returncode == 0:
            return
        time.sleep(0.5)
    subprocess.run(["umount", "-R", "-l", str(folder)], check=False)


def stages(effort: Effort) -> Iterator[Stage]:
    """Yield all that is measured, in order: the crowds last, for what they leave in memory."""
    yield from workloads.stages()
    yield from streams.stages(effort)
    yield from crowds.stages(effort)


def measured(peers: list[Peer], effort: Effort, only: str) -> Iterator[Row]:
    """Measure the stages that have a row of interest; yield such rows."""
    for stage in stages(effort):
        wanted = [row for row in stage.rows if only in row.name]
        if not wanted:
            continue
        try:
            stage.measure(peers, effort)
        except FAILURES as error:
            tell(f"{stage.rows[0].name}: {error!r}")
        yield from (row for row in wanted if row.figures)


def main() -> int:
    options = argparse.ArgumentParser(prog="bench", description=__doc__)
    options.add_argument("--only", default="", help="the rows whose name has this word")
    options.add_argument("--quick", action="store_true", help="one round, and little in it")
    options.add_argument("--no-peer", action="store_true", help="Boxship alone")
    options.add_argument("--registry", action="store_true", help="load, save, pull and push too")
    asked = options.parse_args()
    effort = QUICK if asked.quick else Effort()
    made: list[Row] = []
    with fresh_filesystem() as folder, contextlib.ExitStack() as undo:
        peers = [boxship(folder)] if asked.no_peer else [boxship(folder), dockerd(folder)]
        for peer in peers:
            undo.callback(peer.stop)
            peer.start()
            peer.load_busybox()
        tell(f"load {os.getloadavg()[0]:.1f}")
        ours, theirs = peers[0].name, "" if asked.no_peer else peers[-1].name
        print(head(ours, theirs), flush=True)
        for row in measured(peers, effort, asked.only):
            print(line(row, ours, theirs), flush=True)
        if asked.registry:
            made = registry.measure(peers, folder)
            for row in made:
                print(line(row, ours, theirs), flush=True)
    if any("podman" in row.figures for row in made):
        print()
        print(table(made, "boxship", "podman"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
