"""The engines under measurement, each a program in network and mount namespaces of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.api import Api

CHECKOUT = Path(__file__).resolve().parents[1]
IMAGE = "bench/busybox:latest"


@dataclass
class Peer:
    """A running engine: `name` for the table, `socket` to talk to, `root` that it writes in."""

    name: str
    command: list[str]
    root: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def socket(self) -> str:
        return f"{self.root}/s"

    def start(self) -> None:
        with (self.root / "log").open("ab") as log:
            inside = 'ip link set lo up; exec "$@"'
            own_network = ["unshare", "--net", "--mount", "sh", "-c", inside, "sh"]
            self.process = subprocess.Popen(
                [*own_network, *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(CHECKOUT / "src")},
                start_new_session=True,
            )
        own_niceness(self.process.pid)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                self.api().call("GET", "/_ping")
                return
            except (OSError, RuntimeError):
                time.sleep(0.05)
        raise RuntimeError(
            f"{self.name} does not answer: {(self.root / 'log').read_text()[-2000:]}"
        )

    def clear(self) -> None:
        """Remove the containers that a failure has left: they would keep the disk in use."""
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            api = self.api()
            for container in api.call("GET", "/containers/json?all=1"):
                with contextlib.suppress(RuntimeError):
                    api.call("DELETE", f"/containers/{container['Id']}?force=1")

    def stop(self) -> None:
        if self.process is not None:
            self.clear()
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def api(self) -> Api:
        return Api(self.socket)

    def docker(self, *words: str) -> list[str]:
        """Return the command line of the real client for this engine."""
        return ["docker", "-H", f"unix://{self.socket}", *words]

    def family(self) -> list[int]:
        """Return the process IDs of the engine and all that it started, payloads included."""
        marked = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                command = Path(f"/proc/{entry}/cmdline").read_bytes()
                cgroup = Path(f"/proc/{entry}/cgroup").read_text()
            except OSError:
                continue
            if str(self.root).encode() in command and "/sleep" not in cgroup:
                marked.append(int(entry))
        return marked

    def load_busybox(self) -> None:
        """Import one small image, the same for every engine, under `IMAGE`."""
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder, "root")
            busybox_root(root)
            archive = Path(folder, "root.tar")
            with tarfile.open(archive, "w") as tar:
                tar.add(root, arcname=".")
            subprocess.run(
                self.docker("import", str(archive), IMAGE), check=True, stdout=subprocess.DEVNULL
            )


def busybox_root(root: Path) -> None:
    """Make the files of a small image."""
    (root / "bin").mkdir(parents=True)
    for name in ("etc", "proc", "sys", "dev", "tmp"):
        (root / name).mkdir()
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "true", "sleep", "cat", "head", "yes", "echo", "seq", "awk", "dd"):
        (root / "bin" / name).symlink_to("busybox")


def own_niceness(process: int | None = None) -> None:
    """Let a session be as nice as we are: where the kernel shares the CPUs out among sessions,
    what a process calls its niceness only counts among those of its own session.
    """
    with contextlib.suppress(OSError):
        name = "self" if process is None else process
        Path(f"/proc/{name}/autogroup").write_text(str(os.nice(0)))


def boxship(folder: Path) -> Peer:
    root = folder / "boxship"
    root.mkdir()
    (root / "daemon.json").write_text("{}")
    return Peer(
        "boxship",
        [
            sys.executable, "-m", "boxship.daemon.main",
            "--data-root", f"{root}/data", "--exec-root", f"{root}/x", "--pidfile", f"{root}/pid",
            "--config-file", f"{root}/daemon.json", "--bridge", "bxbench", "--bip", "10.252.0.1/16",
            "-H", f"unix://{root}/s",
        ],
        root,
    )  # fmt: skip


def dockerd(folder: Path) -> Peer:
    root = folder / "dockerd"
    root.mkdir()
    return Peer(
        "dockerd",
        [
            "dockerd", "--data-root", f"{root}/data", "--exec-root", f"{root}/x",
            "--pidfile", f"{root}/pid",
            "--bip", "10.253.0.1/16", "-H", f"unix://{root}/s", "--storage-driver", "overlay2",
        ],
        root,
    )  # fmt: skip
