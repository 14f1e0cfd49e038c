"""Builds: by the API of the classic builder, and by the client in BuildKit mode.

The Dockerfile of twenty steps is ten RUN and ten COPY; the large context has 20,000 small files
and six of 50 MB. `python -m bench.build` measures them all; `--client` names the docker client of
20.10, which still has both modes. buildah, which has no API, is measured by its command.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from bench import buildah
from bench.engines import CHECKOUT, IMAGE, Peer, boxship, dockerd, own_niceness
from bench.measure import Row, table

FOLDERS, FILES, LARGE, SIZE = 200, 100, 6, 50 << 20
MANY = "COPY 20k files + 300 MB"


def twenty(folder: Path) -> Path:
    """A context whose Dockerfile has twenty steps."""
    context = folder / "twenty"
    context.mkdir()
    lines = [f"FROM {IMAGE}"]
    for number in range(10):
        (context / f"f{number}").write_text(str(number))
        lines += [f"RUN echo {number} > /r{number}", f"COPY f{number} /c{number}"]
    (context / "Dockerfile").write_text("\n".join(lines))
    return context


def large(folder: Path) -> Path:
    """A context of many files, and some that are large."""
    context = folder / "large"
    chance = random.Random(2)
    for number in range(FOLDERS):
        place = context / f"d{number}"
        place.mkdir(parents=True)
        for file in range(FILES):
            (place / f"f{file}").write_bytes(chance.randbytes(chance.randrange(200, 4000)))
    for number in range(LARGE):
        (context / f"large{number}").write_bytes(chance.randbytes(SIZE))
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY . /app/\n")
    return context


def stages(folder: Path) -> Path:
    """Two stages that wait for five seconds each, and one that needs both."""
    context = folder / "stages"
    context.mkdir()
    (context / "Dockerfile").write_text(
        f"FROM {IMAGE} AS a\nARG N\nRUN sleep 5; echo $N > /a\n"
        f"FROM {IMAGE} AS b\nARG N\nRUN sleep 5; echo $N > /b\n"
        f"FROM {IMAGE}\nCOPY --from=a /a /\nCOPY --from=b /b /\n"
    )
    return context


def packed(context: Path) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        archive.add(context, ".")
    return data.getvalue()[: archive.offset]  # dockerd may reset over what follows the end


def post(peer: Peer, body: bytes, **more: str) -> float:
    """Build by the API; return the seconds until the last byte of the answer."""
    words = "&".join(f"{key}={quote(value)}" for key, value in {"t": "bench:b", **more}.items())
    head = (
        f"POST /v1.41/build?{words} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n"
        f"Content-Type: application/x-tar\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    answer = b""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(peer.socket)
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(head.encode())
            connection.sendall(body)
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(1 << 16):
                answer += data
        took = time.monotonic() - began
    if b"Successfully built" not in answer:
        raise RuntimeError(answer[-500:].decode(errors="replace"))
    return took


def by_client(peer: Peer, client: str, context: Path, *words: str) -> float:
    """Build by the client, with BuildKit; return the seconds."""
    config = peer.root / "client"
    config.mkdir(exist_ok=True)
    environment = {**os.environ, "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": str(config)}
    command = [client, "-H", f"unix://{peer.socket}", "build", "-q", "-t", "bench:k", *words]
    began = time.monotonic()
    subprocess.run([*command, str(context)], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def exporting(peer: Peer, context: Path, *words: str) -> float:
    """Build by our own client, which gets on with both; return the seconds of the export.

    That is from the end of the last step until the image is stored, as the engine tells it.
    """
    command = [str(CHECKOUT / "boxship"), "-H", f"unix://{peer.socket}", "build", "-t", "bench:e"]
    config = peer.root / "exporting"
    config.mkdir(exist_ok=True)
    done = subprocess.run(
        [*command, "--progress", "rawjson", *words, str(context)],
        check=True,
        capture_output=True,
        env={**os.environ, "DOCKER_CONFIG": str(config)},
    )
    last = {}
    for line in done.stderr.splitlines():
        for one in json.loads(line).get("vertexes", ()):
            last[one["name"]] = one
    told = last["exporting to image"]
    began, ended = (datetime.fromisoformat(told[key]) for key in ("started", "completed"))
    return (ended - began).total_seconds()


@dataclass
class Context:
    """A context as a folder, and packed."""

    folder: Path
    packed: bytes = b""

    def pack(self) -> Context:
        self.packed = packed(self.folder)
        return self


def classic(peer: Peer, context: Context, *, cached: bool) -> float:
    """Build by the API, or by the command of who has none."""
    if peer.name == "buildah":
        return buildah.build(peer, context.folder, *(() if cached else ("--no-cache",)))
    return post(peer, context.packed, **({} if cached else {"nocache": "1"}))


def rows(folder: Path, client: str) -> Iterator[Row]:
    steps, many, two = (Context(make(folder)) for make in (twenty, large, stages))
    steps.pack()
    many.pack()
    changes = iter(range(1_000_000))

    def known(context: Context, unit: float = 1) -> Callable[[Peer], float]:
        return lambda peer: classic(peer, context, cached=True) * unit

    def unknown(context: Context) -> Callable[[Peer], float]:
        return lambda peer: classic(peer, context, cached=False)

    def by_buildkit(context: Context, *words: str, unit: float = 1) -> Callable[[Peer], float]:
        return lambda peer: by_client(peer, client, context.folder, *words) * unit

    def changed(peer: Peer) -> float:
        (many.folder / "d7/f7").write_text(str(next(changes)))
        return classic(peer, many.pack(), cached=True)

    def changed_by_client(peer: Peer) -> float:
        (many.folder / "d7/f7").write_text(str(next(changes)))
        return by_client(peer, client, many.folder)

    def all_new(peer: Peer) -> float:
        renew(many.folder, next(changes))
        return classic(peer, many.pack(), cached=True)

    def all_new_by_client(peer: Peer) -> float:
        renew(many.folder, next(changes))
        return by_client(peer, client, many.folder)

    def export_of_small(peer: Peer) -> float:
        return exporting(peer, steps.folder, "--no-cache") * 1000

    def export_of_changed(peer: Peer) -> float:
        (many.folder / "d7/f7").write_text(str(next(changes)))
        return exporting(peer, many.folder) * 1000

    def export_of_all_new(peer: Peer) -> float:
        renew(many.folder, next(changes))
        return exporting(peer, many.folder) * 1000

    def two_stages(peer: Peer) -> float:
        words = ("--build-arg", f"N={next(changes)}")
        if peer.name == "buildah":
            return buildah.build(peer, two.folder, "--jobs", "2", *words)
        return by_client(peer, client, two.folder, *words)

    yield Row("20 steps, no cache, API", "s", unknown(steps), 3)
    yield Row("20 steps, cached, API", "ms", known(steps, 1000), 5)
    yield Row(f"{MANY}, no cache, API", "s", unknown(many), 3)
    yield Row(f"{MANY}, cached, API", "s", known(many), 3)
    yield Row(f"{MANY}, one file changed, API", "s", changed, 3)
    yield Row(f"{MANY}, all of it new, API", "s", all_new, 2)
    yield Row("20 steps, no cache, BuildKit", "s", by_buildkit(steps, "--no-cache"), 3)
    yield Row("20 steps, cached, BuildKit", "ms", by_buildkit(steps, unit=1000), 5)
    yield Row(f"{MANY}, no cache, BuildKit", "s", by_buildkit(many, "--no-cache"), 2)
    yield Row(f"{MANY}, one file changed, BuildKit", "s", changed_by_client, 2)
    yield Row(f"{MANY}, all of it new, BuildKit", "s", all_new_by_client, 2)
    yield Row("export of 20 steps", "ms", export_of_small, 3)
    yield Row(f"export of {MANY}, one file changed", "ms", export_of_changed, 3)
    yield Row(f"export of {MANY}, all of it new", "ms", export_of_all_new, 3)
    yield Row("two stages of 5 s, BuildKit", "s", two_stages, 1)


def renew(context: Path, number: int) -> None:
    """Give every file of a large context other content."""
    chance = random.Random(number)
    for place in context.glob("d*/f*"):
        place.write_bytes(chance.randbytes(chance.randrange(200, 4000)))
    for place in context.glob("large*"):
        place.write_bytes(chance.randbytes(SIZE))


def main() -> int:
    from bench.__main__ import fresh_filesystem

    options = argparse.ArgumentParser(prog="bench.build", description=__doc__)
    options.add_argument("--only", default="", help="the rows whose name has this word")
    options.add_argument("--no-peer", action="store_true", help="Boxship alone")
    options.add_argument("--client", default="docker", help="a docker client of 20.10")
    asked = options.parse_args()
    own_niceness()
    done: list[Row] = []
    with fresh_filesystem("40G") as folder, contextlib.ExitStack() as undo:
        peers = [boxship(folder)] if asked.no_peer else [boxship(folder), dockerd(folder)]
        for peer in peers:
            undo.callback(peer.stop)
            peer.start()
            peer.load_busybox()
        if shutil.which("buildah") and not asked.no_peer:
            peers.append(buildah.buildah(folder))
            buildah.prepare(peers[-1])
        for row in rows(folder, asked.client):
            if asked.only not in row.name:
                continue
            with_buildah = row.name.endswith("API") or "stages" in row.name
            taking = [p for p in peers if with_buildah or p.name != "buildah"]
            try:
                row.take(taking)
            except (RuntimeError, OSError, subprocess.SubprocessError) as error:
                print(f"{row.name}: {error}", file=sys.stderr)
                continue
            done.append(row)
            for peer in [one for one in taking if one.name in row.figures]:
                print(f"{row.name}: {peer.name} {row.median(peer.name):.3g}", file=sys.stderr)
    for peer in peers[1:] or peers:
        print(table(done, "boxship", peer.name), end="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
