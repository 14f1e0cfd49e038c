"""Pull and push through Debian's docker-registry on the loopback of each engine's own network.

The image has 8 layers, 30,000 files and 500 MB that pack to a third. What is pulled is the same for
every engine: gzip layers and a schema 2 manifest, put there by `python -m bench.registry`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from bench.engines import CHECKOUT, Peer
from bench.measure import Row, stopwatch

HOST = "127.0.0.1:5000"
NAME = f"{HOST}/bench/big"
LAYERS, FILES, SIZE = 8, 30_000, 500_000_000
WORDS = 200_000


def make_image(folder: Path) -> Path:
    """Write the image as `docker save` of old wrote it; the same bytes each time."""
    archive = folder / "big.tar"
    chance = random.Random(1)
    words = [chance.randbytes(chance.randrange(2, 9)).hex().encode() for _ in range(WORDS)]
    text = b" ".join(chance.choices(words[:20_000], k=2_000_000))
    diff_ids, names = [], []
    with tarfile.open(archive, "w") as tar:
        for number in range(LAYERS):
            data = _layer(number, chance, text)
            diff_ids.append("sha256:" + hashlib.sha256(data).hexdigest())
            names.append(f"{number}/layer.tar")
            _add(tar, names[-1], data)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Cmd": ["/none"]},
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
                "history": [{"created_by": "bench"} for _ in diff_ids],
            }
        ).encode()
        _add(tar, "config.json", config)
        listed = [{"Config": "config.json", "RepoTags": [f"{NAME}:made"], "Layers": names}]
        _add(tar, "manifest.json", json.dumps(listed).encode())
    return archive


def _layer(number: int, chance: random.Random, text: bytes) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for file in range(FILES // LAYERS):
            if file % 100 == 0:
                folder = tarfile.TarInfo(f"layer{number}/d{file // 100}")
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(folder)
            size = min(int(chance.expovariate(LAYERS / (SIZE / FILES * LAYERS))), 4_000_000)
            start = chance.randrange(len(text) - size) if size < len(text) else 0
            _add(tar, f"layer{number}/d{file // 100}/f{file}", text[start : start + size])
    return made.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))


class Registry:
    """A docker-registry in an engine's network, with a folder that can be emptied."""

    def __init__(self, peer: Peer, folder: Path) -> None:
        self._peer = peer
        self._folder = folder / f"registry-{peer.name}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(exist_ok=True)
        config = self._folder / "config.yml"
        config.write_text(
            "version: 0.1\nlog:\n  level: error\n  accesslog:\n    disabled: true\n"
            f"storage:\n  filesystem:\n    rootdirectory: {self._folder}/data\n"
            f"http:\n  addr: {HOST}\n"
        )
        self._process = subprocess.Popen(
            self.inside("docker-registry", "serve", str(config)), stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        probe = f"import socket; socket.create_connection(('127.0.0.1', {HOST.split(':')[1]}))"
        while time.monotonic() < deadline:
            if not subprocess.run(
                self.inside("python3", "-c", probe), capture_output=True
            ).returncode:
                return
            time.sleep(0.05)
        raise RuntimeError("docker-registry does not answer")

    def inside(self, *command: str) -> list[str]:
        """Return a command line that runs where the engine's loopback is."""
        assert self._peer.process is not None
        return ["nsenter", "-t", str(self._peer.process.pid), "-n", *command]

    def moved(self) -> int:
        """Return how many bytes have gone through the loopback until now."""
        told = subprocess.run(
            self.inside("cat", "/proc/net/dev"), check=True, capture_output=True, text=True
        )
        (line,) = (line for line in told.stdout.splitlines() if line.strip().startswith("lo:"))
        return int(line.partition(":")[2].split()[0])

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def empty(self) -> None:
        """Begin anew with nothing."""
        self.stop()
        shutil.rmtree(self._folder / "data", ignore_errors=True)
        self.start()

    def fill(self, archive: Path) -> None:
        """Have the image there with gzip layers."""
        command = self.inside(sys.executable, "-m", "bench.registry", str(archive))
        environment = {"PYTHONPATH": f"{CHECKOUT}/src:{CHECKOUT}", "PATH": "/usr/bin:/bin"}
        subprocess.run(command, check=True, cwd=CHECKOUT, env=environment)


def _timed(peer: Peer, *words: str) -> float:
    with stopwatch() as seconds:
        subprocess.run(peer.docker(*words), check=True, stdout=subprocess.DEVNULL)
        return seconds()


def _again(peer: Peer) -> float:
    name = "fromImage=127.0.0.1%3A5000%2Fbench%2Fbig&tag=gzip"
    with stopwatch() as seconds:
        with contextlib.suppress(ValueError):  # the answer is several documents
            peer.api().call("POST", f"/images/create?{name}")
        return seconds() * 1e3


class Podman:
    """podman with folders of its own, in the network of a registry; it has no daemon."""

    name = "podman"

    def __init__(self, folder: Path, registry: Registry) -> None:
        self._registry = registry
        self._roots = ["--root", f"{folder}/podman", "--runroot", f"{folder}/podman-run"]

    def timed(self, *words: str) -> float:
        command = self._registry.inside("podman", *self._roots, *words)
        with stopwatch() as seconds:
            subprocess.run(command, check=True, capture_output=True)
            return seconds()


def _podman(podman: Podman, archive: Path, rows: dict[str, Row], registry: Registry) -> None:
    """Take podman's figures, beside an engine's registry that has the image."""
    registry.empty()
    registry.fill(archive)
    insecure = "--tls-verify=false"
    for _ in range(2):
        for name, words in (
            ("load", ["load", "-q", "-i", str(archive)]),
            ("save", ["save", "-q", "-o", f"{archive}.saved", f"{NAME}:made"]),
            ("push", ["push", "-q", insecure, f"{NAME}:made", f"{NAME}-podman:made"]),
            ("rmi", ["rmi", "-f", f"{NAME}:made"]),
            ("pull", ["pull", "-q", insecure, f"{NAME}:gzip"]),
            ("rmi", ["rmi", "-f", f"{NAME}:gzip"]),
        ):
            Path(f"{archive}.saved").unlink(missing_ok=True)
            took = podman.timed(*words)
            if name in rows:
                rows[name].figures.setdefault(podman.name, []).append(took)
        registry.empty()
        registry.fill(archive)
    podman.timed("system", "reset", "--force")


def measure(peers: list[Peer], folder: Path, rounds: int = 3) -> list[Row]:
    """Return the rows of load, save, pull and push, each engine beside its own registry."""

    def row(name: str, unit: str) -> Row:
        return Row(name, unit, lambda peer: 0.0)

    load = row("docker load of 500 MB, 30,000 files, 8 layers", "s")
    save = row("docker save of it", "s")
    push = row("docker push of it", "s")
    known = row("docker push of it again, all blobs known", "ms")
    pull = row("docker pull of it, gzip layers", "s")
    again = row("pull of it again, API", "ms")
    rest = row("docker pull of it with half of its layers here", "s")
    bytes_moved = row("what that moves, of all that the image is", "%")
    archive = make_image(folder)
    with contextlib.ExitStack() as undo:
        registries = {peer.name: Registry(peer, folder) for peer in peers}
        for peer in peers:
            registries[peer.name].start()
            undo.callback(registries[peer.name].stop)
        for number in range(rounds):
            for peer in peers:
                subprocess.run(["sync"], check=True)
                took = _timed(peer, "load", "-q", "-i", str(archive))
                load.figures.setdefault(peer.name, []).append(took)
                saved = folder / "saved.tar"
                took = _timed(peer, "save", "-o", str(saved), f"{NAME}:made")
                save.figures.setdefault(peer.name, []).append(took)
                saved.unlink()
                if number < rounds - 1:
                    removal = peer.docker("rmi", "-f", f"{NAME}:made")
                    subprocess.run(removal, stdout=subprocess.DEVNULL)
        for _ in range(rounds):
            for peer in peers:
                registries[peer.name].empty()
                push.figures.setdefault(peer.name, []).append(_timed(peer, "push", f"{NAME}:made"))
                took = _timed(peer, "push", f"{NAME}:made") * 1e3
                known.figures.setdefault(peer.name, []).append(took)
        for peer in peers:
            subprocess.run(peer.docker("rmi", "-f", f"{NAME}:made"), stdout=subprocess.DEVNULL)
            registries[peer.name].empty()
            registries[peer.name].fill(archive)
        for _ in range(rounds):
            for peer in peers:
                subprocess.run(["sync"], check=True)
                registry = registries[peer.name]
                before = registry.moved()
                pull.figures.setdefault(peer.name, []).append(_timed(peer, "pull", f"{NAME}:gzip"))
                whole = registry.moved() - before
                again.figures.setdefault(peer.name, []).append(_again(peer))
                subprocess.run(peer.docker("rmi", "-f", f"{NAME}:gzip"), stdout=subprocess.DEVNULL)
                _timed(peer, "pull", f"{NAME}:half")
                subprocess.run(["sync"], check=True)
                before = registry.moved()
                rest.figures.setdefault(peer.name, []).append(_timed(peer, "pull", f"{NAME}:gzip"))
                share = (registry.moved() - before) / whole * 100
                bytes_moved.figures.setdefault(peer.name, []).append(share)
                for tag in ("gzip", "half"):
                    removal = peer.docker("rmi", "-f", f"{NAME}:{tag}")
                    subprocess.run(removal, stdout=subprocess.DEVNULL)
                time.sleep(2)
        if shutil.which("podman"):
            rows = {"load": load, "save": save, "push": push, "pull": pull}
            beside = registries[peers[0].name]
            _podman(Podman(folder, beside), archive, rows, beside)
    return [load, save, push, known, pull, again, rest, bytes_moved]


async def fill(archive: Path) -> None:
    """Put the image of an archive into the registry, its layers packed; and half of it."""
    from boxship.distribution.client import Registry as Client
    from boxship.lib import compression
    from boxship.spec.digest import Digest

    client = Client(HOST)

    async def send(data: bytes, kind: str) -> dict[str, object]:
        async def content(start: int, end: int) -> AsyncIterator[bytes]:
            for at in range(start, end, 1 << 20):
                yield data[at : min(end, at + (1 << 20))]

        digest = Digest.of(data)
        await client.upload_blob("bench/big", digest, len(data), content)
        return {"mediaType": kind, "digest": digest, "size": len(data)}

    image = "application/vnd.docker.container.image.v1+json"
    layer = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    manifest = "application/vnd.docker.distribution.manifest.v2+json"
    layers = []
    with tarfile.open(archive) as tar:
        for number in range(LAYERS):
            opened = tar.extractfile(f"{number}/layer.tar")
            assert opened is not None
            packed = b"".join(compression.gzip(_pieces(opened.read())))
            layers.append(await send(packed, layer))
        opened = tar.extractfile("config.json")
        assert opened is not None
        said = json.loads(opened.read())
    for tag, count in (("gzip", LAYERS), ("half", LAYERS // 2)):
        diff_ids = said["rootfs"]["diff_ids"][:count]
        half = {**said, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        half["history"] = said["history"][:count]
        document = {
            "schemaVersion": 2,
            "mediaType": manifest,
            "config": await send(json.dumps(half).encode(), image),
            "layers": layers[:count],
        }
        await client.put_manifest("bench/big", tag, manifest, json.dumps(document).encode())
    await client.pool.close()


def _pieces(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 1 << 18):
        yield data[at : at + (1 << 18)]


if __name__ == "__main__":
    asyncio.run(fill(Path(sys.argv[1])))
