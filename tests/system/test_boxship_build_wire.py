"""What a build sends: counted between the clients and the engine."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import doors
from tests.support.engine import PATIENCE, Engine

FILES = 2000
SIZE = 2048
BIG = 64 << 10
OF_A_NAME = 120  # bytes that announcing a file may take, framing and all
DOORS = pytest.mark.parametrize("door", ["session", "buildx", "boxship"])
NOISE = 4 << 10  # by which requests of the same build may differ
REST = 64 << 10  # requests, the Dockerfile, sessions


class Counter:
    """A door to the engine that counts what goes in."""

    def __init__(self, path: Path, target: str) -> None:
        self.host = f"unix://{path}"
        self.sent = 0
        self._target = target
        self._lock = threading.Lock()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(64)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            for here, there, counted in ((near, far, True), (far, near, False)):
                thread = threading.Thread(target=self._pump, args=(here, there, counted))
                self._threads.append(thread)
                thread.start()

    def _pump(self, here: socket.socket, there: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(256 << 10):
                if counted:
                    with self._lock:
                        self.sent += len(data)
                there.sendall(data)
        for one in (here, there):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def counter(engine: Engine, tmp_path: Path) -> Iterator[Counter]:
    made = Counter(tmp_path / "door", engine.socket)
    yield made
    made.close()


def sent(engine: Engine, counter: Counter, context: Path, door: str) -> int:
    """Build; return how many bytes that took."""
    before = counter.sent
    words = doors.command(engine, door)
    done = subprocess.run(
        [*(counter.host if word == engine.host else word for word in words), "-q", str(context)],
        env={**doors.environment(engine, door), "HOME": str(context.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=120 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr.decode()
    return counter.sent - before


@pytest.mark.docker_cli
@DOORS
def test_only_what_has_changed_is_sent(
    engine: Engine, counter: Counter, tmp_path: Path, door: str
) -> None:
    context = tmp_path / "ctx"
    source = random.Random(1)
    for folder in range(20):
        (context / f"d{folder:02}").mkdir(parents=True)
        for file in range(FILES // 20):
            (context / f"d{folder:02}/f{file:03}").write_bytes(source.randbytes(SIZE))
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    names = FILES * OF_A_NAME + REST

    first = sent(engine, counter, context, door)
    assert FILES * SIZE < first < FILES * SIZE + names
    nothing = sent(engine, counter, context, door)
    assert nothing < names
    (context / "d07/f042").write_bytes(source.randbytes(BIG))
    one = sent(engine, counter, context, door)
    assert BIG - NOISE < one - nothing < BIG + REST

    (context / ".dockerignore").write_text("d0*\n")
    fewer = sent(engine, counter, context, door)
    assert fewer < nothing - (FILES // 3) * 20
    (context / ".dockerignore").write_text("d1*\n")  # these are there, those have gone
    back = sent(engine, counter, context, door)
    assert FILES // 2 * SIZE < back < FILES // 2 * SIZE + BIG + names


@pytest.mark.docker_cli
@DOORS
def test_only_what_a_dockerfile_copies_is_sent(
    engine: Engine, counter: Counter, tmp_path: Path, door: str
) -> None:
    context = tmp_path / "ctx"
    context.mkdir()
    (context / "large").write_bytes(random.Random(2).randbytes(4 << 20))
    (context / "small").write_text("small")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY small /\n")
    assert sent(engine, counter, context, door) < REST
