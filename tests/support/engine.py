"""An engine of the tests' own: private roots, bridge and socket, driven as a program."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest

from tests.support import ledger

CHECKOUT = Path(__file__).resolve().parents[2]
BOXSHIP = [sys.executable, "-I", "-S", str(CHECKOUT / "src/boxship/cli/launch.py")]
CLIENTS = CHECKOUT / ".cache/clients"  # what packaging/setup/clients has fetched
PATIENCE = float(os.environ.get("TEST_PATIENCE", "1"))  # greater on an emulated machine
PASSES = 5
READY_WITHIN = 20.0 * PATIENCE  # seconds; generous, since machines are noisy
SPREAD = 6000  # numbers below it are for shared engines, then come one test's own, then others
FURTHER = 800
Finished = subprocess.CompletedProcess[str]


def engine_number() -> int:
    """Return a number for this process's engine that no other test run here is likely to use."""
    return os.getpid() % SPREAD


def another_number() -> int:
    """Return a number for an engine beside both fixtures' engines."""
    return 2 * SPREAD + os.getpid() % FURTHER


@dataclass
class Engine:
    """One boxshipd, and the clients that talk to it."""

    root: Path
    number: int
    flags: Sequence[str] = ()
    process: subprocess.Popen[bytes] | None = None
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    @property
    def bridge(self) -> str:
        return f"bxt{self.number:05}"  # of one length: none is the beginning of another's

    @property
    def cgroup_parent(self) -> str:
        return f"/boxship-test-{self.number:05}"

    @property
    def socket(self) -> str:
        return f"{self.root}/s"

    def ledger(self) -> ledger.Ledger:
        """Count what carries this engine's marks."""
        return ledger.take(str(self.root), self.bridge, self.cgroup_parent)

    def left(self) -> dict[str, list[str]]:
        """Return what is left when it has ended without containers; its processes end after it."""
        deadline = time.monotonic() + 5 * PATIENCE
        while (left := self.ledger().left(self.bridge)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    @property
    def host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def log(self) -> Path:
        return self.root / "log"

    @property
    def command(self) -> list[str]:
        return [
            sys.executable, "-m", "boxship.daemon.main",
            "--data-root", f"{self.root}/data",
            "--exec-root", f"{self.root}/x",
            "--pidfile", f"{self.root}/pid",
            "--config-file", f"{self.root}/daemon.json",
            "--bridge", self.bridge,
            "--bip", f"10.{200 + self.number % 50}.{self.number // 50}.1/24",
            "--cgroup-parent", self.cgroup_parent,
            "-H", self.host,
            *self.flags,
        ]  # fmt: skip

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        (self.root / "daemon.json").touch()  # a file that is named must exist
        log = self.log.open("ab")
        self.environment["PYTHONPATH"] = str(CHECKOUT / "src")
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=self.environment,
            start_new_session=True,
        )
        log.close()
        self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_WITHIN
        assert self.process is not None
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended: {self.tail()}")
            with contextlib.suppress(Exception):
                if self.api().ping():
                    return
            time.sleep(0.02)
        raise AssertionError(f"the daemon did not answer: {self.tail()}")

    def stop(self) -> None:
        """End the daemon as a service manager would."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(30 * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the daemon did not stop: {self.tail()}") from None

    def kill(self) -> None:
        """End the daemon as a crash would."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def restart(self) -> None:
        self.stop()
        self.start()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else "(no log)"

    def api(self, **options: object) -> docker.DockerClient:
        """Return docker-py, talking to this engine."""
        options.setdefault("timeout", 60 * PATIENCE)
        return docker.DockerClient(base_url=self.host, version="auto", **options)

    def docker(self, *words: str, check: bool = True, **options: object) -> Finished:
        """Run the real docker command against this engine."""
        return self._run([docker_command(), "-H", self.host, *words], check, options)

    def boxship(self, *words: str, check: bool = True, **options: object) -> Finished:
        """Run our own command against this engine."""
        return self._run([*BOXSHIP, "-H", self.host, *words], check, options)

    def _run(self, command: list[str], check: bool, options: dict[str, object]) -> Finished:
        settings: dict[str, object] = {
            "capture_output": True,
            "text": True,
            "timeout": 120 * PATIENCE,
            "env": {**os.environ, "DOCKER_CONFIG": f"{self.root}/config"},
        }
        if "input" not in options:
            settings["stdin"] = subprocess.DEVNULL
        done = subprocess.run(command, **{**settings, **options})  # type: ignore[call-overload]
        if check and done.returncode:
            raise AssertionError(
                f"{command[3:]} exited {done.returncode}: {done.stderr}\n{self.tail()}"
            )
        assert isinstance(done, subprocess.CompletedProcess)
        return done

    def remove_everything(self) -> None:
        """Remove all containers, so that what is left afterwards is a leak."""
        with contextlib.closing(self.api()) as api:
            for container in api.containers.list(all=True, ignore_removed=True):
                with contextlib.suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)


def docker_command(name: str = "docker") -> str:
    """Return a real program of Docker's: the machine's own, or what the set-up has fetched."""
    found = shutil.which(name) or shutil.which(name, path=str(CLIENTS))
    if not found:
        pytest.skip(f"the {name} command is neither installed nor could it be fetched")
    return found


def link_plugins(config: Path) -> bool:
    """Let docker find buildx from a configuration folder of its own; False where there is none."""
    for folder in (
        CLIENTS / "cli-plugins",
        Path("/usr/libexec/docker/cli-plugins"),
        Path("/usr/lib/docker/cli-plugins"),
    ):
        if (folder / "docker-buildx").exists():
            config.mkdir(parents=True, exist_ok=True)
            if not (config / "cli-plugins").is_symlink():
                (config / "cli-plugins").symlink_to(folder)
            return True
    return False


@contextlib.contextmanager
def private_engine(number: int, flags: Sequence[str] = ()) -> Iterator[Engine]:
    """An engine that exists for the block; it must leave nothing, and its roots are removed."""
    root = Path(tempfile.mkdtemp(prefix=f"bxt{number}-", dir="/tmp"))
    link_plugins(root / "config")
    engine = Engine(root, number, flags)
    try:
        engine.start()
        yield engine
        engine.remove_everything()
        engine.stop()
        assert not (left := engine.left()), f"the engine left behind: {left}"
    finally:
        engine.kill()
        sweep(engine)
        shutil.rmtree(root, ignore_errors=True)


def sweep(engine: Engine) -> None:
    """Take away what a failed test's engine left: by its own names only."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                if str(engine.root).encode() in file.read():
                    os.kill(int(entry), signal.SIGKILL)
    for _ in range(PASSES):  # what a killed process was at when it died may come after the first
        subprocess.run(["ip", "link", "del", engine.bridge], capture_output=True, check=False)
        tables = [line.split() for line in _tables() if engine.bridge in line]
        for table in tables:
            subprocess.run(["nft", "delete", *table], capture_output=True, check=False)
        if not tables and not os.path.exists(f"/sys/class/net/{engine.bridge}"):
            break
        time.sleep(0.1)
    ledger.sweep_groups(engine.cgroup_parent)


def _tables() -> list[str]:
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()
