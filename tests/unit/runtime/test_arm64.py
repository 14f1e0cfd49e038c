"""The machine code for arm64, run by an emulator: the table's meaning, and the small init."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from boxship.kernel import syscalls
from boxship.runtime import memory, small_init
from boxship.runtime.program import VALUE, Program, Scratch, tolerating
from boxship.runtime.stub import STUBS

MACHINE = "aarch64"
QEMU = "qemu-aarch64-static"
TOOLS = [f"{MACHINE}-linux-gnu-{name}" for name in ("as", "ld")]
AT = 0x10000000
SECOND_HALF = 28  # bytes of the stub that make the process; the rest performs the table
HARNESS = """
.globl entry
entry:
  ldr x0, =at
  ldr x1, =size
  mov x2, 3
  mov x3, 0x32
  mov x4, -1
  mov x5, 0
  mov x8, 222
  svc 0
  mov x9, x0
  adr x1, image
  ldr x2, =length
1:
  ldr x3, [x1], 8
  str x3, [x0], 8
  subs x2, x2, 8
  b.hi 1b
  b stub + second
.ltorg
stub: .incbin "stub"
.balign 8
image: .incbin "image"
.balign 8
"""

pytestmark = pytest.mark.skipif(not shutil.which(QEMU), reason=f"{QEMU} is not installed")


def performed(program: Program, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Have a program performed by the stub; return the exit status and the output."""
    if not all(map(shutil.which, TOOLS)):
        pytest.skip("no assembler for arm64")
    numbers = {name: pair[1] for name, pair in syscalls._OLD.items()} | syscalls._COMMON
    monkeypatch.setattr(memory, "NUMBER", numbers)
    laid = memory.Memory(program, (0, 0, 0), AT)
    (folder / "stub").write_bytes(STUBS[MACHINE])
    (folder / "image").write_bytes(laid.image)
    sizes = {"at": AT, "size": laid.size, "length": len(laid.image), "second": SECOND_HALF}
    head = "".join(f".equ {name}, {value}\n" for name, value in sizes.items())
    (folder / "harness.S").write_text(head + HARNESS)
    subprocess.run([TOOLS[0], "-o", "made.o", "harness.S"], cwd=folder, check=True)
    subprocess.run([TOOLS[1], "-e", "entry", "-o", "made", "made.o"], cwd=folder, check=True)
    done = subprocess.run([QEMU, "made"], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def say(program: Program, text: str) -> None:
    program.add("write", 1, text.encode(), len(text))


def test_a_table_is_performed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program()
    told = program.place()
    program.on_failure = told
    say(program, "begun\n")
    there, later, end = program.place(), program.place(), program.place()
    missing = tolerating(errno.ENOENT)
    program.add("openat", -100, b"/absent", 0, 0, tolerated=missing, on_tolerated=there)
    say(program, "wrong: no error\n")
    program.put(there)
    program.add("openat", -100, b"/absent", 0, 0, lenient=True)
    zero = program.add(VALUE, 0, on_success=later, if_nonzero=True)
    say(program, "zero goes on\n")
    program.add(VALUE, 7, on_success=later, if_nonzero=True)
    say(program, "wrong: not zero\n")
    program.put(later)
    file = program.add("openat", -100, b"/dev/zero", os.O_RDONLY, 0)
    program.add("read", file, Scratch("some", 64), 5)
    program.add("fchdir", file, zero, tolerated=tolerating(errno.ENOTDIR))
    program.add("mmap", 0, 4096, 3, 0x22, -1, 0, on_success=end)
    say(program, "wrong: no jump\n")
    program.put(end)
    say(program, "before a failure\n")
    program.add("close", 77, about="what fails")
    say(program, "wrong: after a failure\n")
    program.put(told)
    say(program, "told\n")
    program.add("close", 78)
    code, output = performed(program, tmp_path, monkeypatch)
    assert output.splitlines() == ["begun", "zero goes on", "before a failure", "told"]
    assert code == 127


def test_results_are_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program()
    length = program.add("write", 1, b"four", 4)
    copy = program.add("dup3", 1, 9, 0)
    program.add("write", copy, b"forty", length)
    value = program.add(VALUE, length)
    program.add("exit_group", value)
    assert performed(program, tmp_path, monkeypatch) == (4, "fourfort")


@pytest.fixture
def init(tmp_path: Path) -> list[str]:
    """The small init as a command."""
    path = tmp_path / "init"
    path.write_bytes(small_init.program(small_init.CODE[MACHINE], small_init.ELF_MACHINE[MACHINE]))
    path.chmod(0o755)
    return [QEMU, str(path)]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--", "sh", "-c", "echo hello; exit 7"), 7, "hello\n"),
        (("sh", "-c", "kill -9 $$"), 137, ""),
        (("--", "/bin/true"), 0, ""),
        (("--", "absent"), 127, "exec absent: no such file or directory\n"),
        (("--", "/absent"), 127, "exec /absent: no such file or directory\n"),
        (("--", "/etc/passwd"), 126, "exec /etc/passwd: cannot be executed\n"),
        ((), 1, ""),
    ],
)
def test_the_small_init_ends_as_its_program(
    init: list[str], words: tuple[str, ...], code: int, said: str
) -> None:
    done = subprocess.run([*init, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (code, said)


def test_the_small_init_hands_on_signals(init: list[str]) -> None:
    script = "trap 'echo got it; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    process = subprocess.Popen([*init, "--", "sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == b"got it\n"
    assert process.wait(60) == 3
    process.stdout.close()
