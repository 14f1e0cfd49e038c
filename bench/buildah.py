"""buildah, which has no daemon: measured by its command, with a store of its own."""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path

from bench.engines import IMAGE, Peer, busybox_root


def buildah(folder: Path) -> Peer:
    """An engine without a process; `build` is all that it can do here."""
    root = folder / "buildah"
    root.mkdir()
    return Peer("buildah", [], root)


def prepare(peer: Peer) -> None:
    """Make the image that all builds begin with."""
    with tempfile.TemporaryDirectory() as folder:
        busybox_root(Path(folder, "root"))
        Path(folder, "Dockerfile").write_text("FROM scratch\nCOPY root /\n")
        _run(peer, "-t", IMAGE, folder)


def build(peer: Peer, context: Path, *words: str) -> float:
    """Build with its cache of layers; return the seconds. Processes have the host's network."""
    began = time.monotonic()
    process = ("--isolation", "oci", "--runtime", "runc", "--network", "host")
    _run(peer, "--layers", "-t", "bench:b", *process, *words, str(context))
    return time.monotonic() - began


def _run(peer: Peer, *words: str) -> None:
    store = ("--root", f"{peer.root}/data", "--runroot", f"{peer.root}/x")
    command = ["buildah", *store, "--storage-driver", "overlay", "bud", "-q", *words]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
