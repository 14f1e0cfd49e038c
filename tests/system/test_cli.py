"""The `boxship` command against an engine: terminals, copies, formats, exit codes."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.engine import CHECKOUT, Engine

IMAGE = "busybox"
PATIENCE = 20.0


@contextmanager
def container(engine: Engine, *options: str) -> Iterator[str]:
    """A container that sleeps, removed at the end."""
    identifier = engine.boxship("run", "-d", *options, IMAGE, "sleep", "1000").stdout.strip()
    try:
        yield identifier
    finally:
        engine.boxship("rm", "-f", identifier)


class Terminal:
    """The command in a terminal of its own."""

    def __init__(self, engine: Engine, *arguments: str, size: tuple[int, int] = (30, 100)) -> None:
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            command = str(CHECKOUT / "boxship")
            os.execve(
                command,
                ["boxship", "-H", engine.host, *arguments],
                {**os.environ, "TERM": "xterm"},
            )
        self.seen = b""
        self.resize(*size)

    def resize(self, rows: int, columns: int) -> None:
        packed = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, packed)

    def type(self, data: bytes) -> None:
        os.write(self.descriptor, data)

    def wait_for(self, text: bytes) -> None:
        """Read until `text` appears, and forget what was before it."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not appear in {self.seen!r}"
            if not self._read():
                break
        assert text in self.seen, f"ended without {text!r}: {self.seen!r}"
        self.seen = self.seen.partition(text)[2]

    def _read(self) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], 0.5)
        if not ready:
            return True
        try:
            data = os.read(self.descriptor, 65536)
        except OSError:
            return False
        self.seen += data
        return bool(data)

    def end(self) -> int:
        """Read to the end and return the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < deadline, f"did not end: {self.seen!r}"
        _, status = os.waitpid(self.process, 0)
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(status)


def test_a_terminal_has_the_size_of_ours_and_follows_it(engine: Engine) -> None:
    terminal = Terminal(engine, "run", "--rm", "-it", IMAGE, "sh")
    terminal.wait_for(b"# ")
    terminal.type(b"stty size\n")
    terminal.wait_for(b"30 100")
    terminal.resize(40, 120)
    time.sleep(0.3)
    terminal.type(b"stty size\n")
    terminal.wait_for(b"40 120")
    terminal.type(b"exit 5\n")
    assert terminal.end() == 5


def test_detach_keys_leave_the_container_running_and_attach_comes_back(engine: Engine) -> None:
    terminal = Terminal(engine, "run", "-it", "--name", "cli-detach", IMAGE, "sh")
    terminal.wait_for(b"# ")
    terminal.type(b"\x10\x11")
    assert terminal.end() == 0
    try:
        state = engine.boxship("inspect", "-f", "{{.State.Running}}", "cli-detach").stdout
        assert state == "true\n"
        again = Terminal(engine, "attach", "--detach-keys", "ctrl-a,x", "cli-detach")
        again.type(b"\n")
        again.wait_for(b"# ")
        again.type(b"exit 3\n")
        assert again.end() == 3
        restarted = Terminal(engine, "start", "-ai", "cli-detach")
        restarted.type(b"\n")
        restarted.wait_for(b"# ")
        restarted.type(b"exit 4\n")
        assert restarted.end() == 4
    finally:
        engine.boxship("rm", "-f", "cli-detach")


def test_an_exec_in_a_terminal_gives_its_exit_code(engine: Engine) -> None:
    with container(engine) as identifier:
        terminal = Terminal(engine, "exec", "-it", identifier, "sh")
        terminal.wait_for(b"# ")
        terminal.type(b"stty size; exit 6\n")
        terminal.wait_for(b"30 100")
        assert terminal.end() == 6


def test_a_signal_reaches_the_program(engine: Engine) -> None:
    script = 'trap "echo got; exit 8" TERM; echo ready; while :; do sleep 0.1; done'
    process = subprocess.Popen(
        [str(CHECKOUT / "boxship"), "-H", engine.host, "run", "--rm", IMAGE, "sh", "-c", script],
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == b"got\n"
    assert process.wait(PATIENCE) == 8


def test_input_ends_where_ours_ends(engine: Engine) -> None:
    data = b"x" * 3_000_000
    command = [str(CHECKOUT / "boxship"), "-H", engine.host]
    done = subprocess.run(
        [*command, "run", "-i", "--rm", IMAGE, "cat"],
        input=data,
        stdout=subprocess.PIPE,
        timeout=60 * PATIENCE,
        check=True,
    )
    assert done.stdout == data


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("run", "--rm", IMAGE, "sh", "-c", "exit 7"), 7, ""),
        (("run", "--rm", IMAGE, "nosuch"), 127, "executable file not found"),
        (("run", "--bogus", IMAGE), 125, "unknown flag: --bogus"),
        (("run", "--rm", "--restart=always", IMAGE), 125, "both --restart and --rm"),
        (("rm", "nosuch"), 1, "No such container: nosuch"),
        (("bogus",), 1, "boxship: unknown command: boxship bogus"),
        (("rm",), 1, "requires at least 1 argument"),
        (("inspect", "nosuch"), 1, "Error: No such object: nosuch"),
        (("inspect", "-f", "{{", "nosuch"), 64, "unclosed action"),
    ],
)
def test_what_goes_wrong_has_a_status_and_words(
    engine: Engine, arguments: tuple[str, ...], status: int, message: str
) -> None:
    done = engine.boxship(*arguments, check=False)
    assert (done.returncode, message in done.stderr) == (status, True), done.stderr


def test_lists_and_formats_agree_with_dockers_client(engine: Engine) -> None:
    with container(engine, "--label", "a=b", "--name", "cli-format"):
        for arguments in (
            ("ps", "-a", "--format", "{{.ID}} {{.Names}} {{.Image}} {{.Command}} {{.State}}"),
            ("ps", "--format", 'table {{.Names}}\t{{.Label "a"}}\t{{.Networks}}'),
            ("inspect", "-f", "{{json .Config.Labels}} {{.HostConfig.Binds}}", "cli-format"),
            ("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"),
            ("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"),
            ("ps", "-q", "--no-trunc"),
        ):
            ours, theirs = engine.boxship(*arguments), engine.docker(*arguments)
            # Images made in one second have no order.
            assert sorted(ours.stdout.splitlines()) == sorted(theirs.stdout.splitlines())


def test_inspect_of_nothing_prints_an_empty_list(engine: Engine) -> None:
    done = engine.boxship("inspect", "nosuch", check=False)
    assert json.loads(done.stdout) == []


def test_a_label_cannot_drive_the_terminal(engine: Engine) -> None:
    with container(engine, "--label", "x=\x1b[2Jevil", "--name", "cli-label"):
        shown = engine.boxship("ps", "--format", "table {{.Labels}}").stdout
        assert "\x1b" not in shown
        assert "\\x1b[2Jevil" in shown


def test_copies_go_in_and_come_out(engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_text("hello")
    (source / "link").symlink_to("inner/file")
    with container(engine) as identifier:
        engine.boxship("cp", str(source), f"{identifier}:/tmp/there")
        engine.boxship("cp", f"{identifier}:/tmp/there/.", str(tmp_path / "back"))
        assert (tmp_path / "back" / "inner" / "file").read_text() == "hello"
        assert os.readlink(tmp_path / "back" / "link") == "inner/file"
        engine.boxship("cp", "-L", f"{identifier}:/tmp/there/link", str(tmp_path / "followed"))
        assert (tmp_path / "followed").read_text() == "hello"
        refused = engine.boxship("cp", f"{identifier}:/nosuch", str(tmp_path), check=False)
        assert "Could not find the file /nosuch in container" in refused.stderr


def test_a_container_cannot_write_outside_of_where_it_is_copied(
    engine: Engine, tmp_path: Path
) -> None:
    """A program swaps a folder for a link while it is copied, in the hope that we follow it."""
    swap = (
        "mkdir -p /d/a; while :; do "
        "rm -rf /d/a; ln -s /.. /d/a; rm /d/a; mkdir /d/a; touch /d/a/f; done"
    )
    with container(engine) as identifier:
        engine.boxship("exec", "-d", identifier, "sh", "-c", swap)
        for number in range(5):
            target = tmp_path / str(number)
            engine.boxship("cp", f"{identifier}:/d", str(target), check=False)
        assert {path.name for path in tmp_path.iterdir()} <= {str(n) for n in range(5)}
