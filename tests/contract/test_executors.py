"""Both executors perform the same plan with the same outcome."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from tests.support.boxes import Boxes, boxes
from tests.support.planned import PlannedRuntime

from boxship.kernel.syscalls import MACHINE
from boxship.runtime.errors import StartFailed
from boxship.runtime.executor import Executor
from boxship.runtime.native import NativeRuntime
from boxship.runtime.plain import PlainExecutor
from boxship.runtime.program import ANY, MISSING, VALUE, Program, Scratch, tolerating
from boxship.runtime.table import STUBS, TableExecutor
from boxship.spec.oci import runtime as oci

pytestmark = pytest.mark.root
KINDS = (["table"] if MACHINE in STUBS else []) + ["plain"]


@pytest.fixture(params=KINDS)
def executor(request: pytest.FixtureRequest) -> Executor:
    return TableExecutor() if request.param == "table" else PlainExecutor()


@pytest.fixture(params=[*KINDS, *(["planned"] if MACHINE in STUBS else [])])
def box(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    """The runtime with each executor, and planned by one process and performed by another."""
    match request.param:
        case "planned":
            runtime: NativeRuntime = PlannedRuntime()
        case "table":
            runtime = NativeRuntime(TableExecutor())
        case _:
            runtime = NativeRuntime(PlainExecutor())
    with boxes(runtime) as made:
        yield made


def perform(executor: Executor, program: Program) -> tuple[int, tuple[int, int] | None, list[int]]:
    """Return the exit code, the failure and all results of a program."""
    pid, memory = executor.launch(program)
    os.close(memory.pidfd)
    _, status = os.waitpid(pid, 0)
    found = memory.failure()
    results = [memory.result(index) for index in range(len(program.calls))]
    memory.close()
    return os.waitstatus_to_exitcode(status), found, results


def test_calls_are_made_in_order_and_their_results_kept(executor: Executor) -> None:
    program = Program()
    program.add("openat", -100, b"/dev/null", os.O_RDONLY, 0)
    program.add(VALUE, 7)
    program.add("exit_group", 3)
    code, failure, results = perform(executor, program)
    assert (code, failure) == (3, None)
    assert results[0] > 2
    assert results[1] == 7


def test_an_error_ends_the_program_and_is_told(executor: Executor) -> None:
    program = Program()
    program.add(VALUE, 1)
    program.add("openat", -100, b"/does/not/exist", 0, 0)
    program.add("exit_group", 0)
    code, failure, _ = perform(executor, program)
    assert (code, failure) == (127, (1, 2))


def test_a_failure_goes_on_where_it_was_said_to_once(executor: Executor) -> None:
    program = Program()
    program.on_failure = program.place()
    program.add(VALUE, -5)
    program.put(program.on_failure)
    program.add("exit_group", 9)
    assert perform(executor, program)[:2] == (9, (0, 5))


def test_a_tolerated_error_goes_elsewhere_and_others_do_not(executor: Executor) -> None:
    program = Program()
    there = program.place()
    program.add("openat", -100, b"/does/not/exist", 0, 0, tolerated=MISSING, on_tolerated=there)
    program.add("exit_group", 1)
    program.put(there)
    program.add(VALUE, -13, tolerated=MISSING, lenient=True)
    program.add(VALUE, -13, tolerated=MISSING)
    program.add("exit_group", 2)
    assert perform(executor, program)[:2] == (127, (3, 13))


def test_errors_above_63_share_a_place_in_the_set(executor: Executor) -> None:
    program = Program()
    program.add(VALUE, -122, tolerated=tolerating(122))
    program.add(VALUE, -122, tolerated=tolerating(2))
    assert perform(executor, program)[1] == (1, 122)


def test_success_may_jump_and_zero_may_be_told_apart(executor: Executor) -> None:
    program = Program()
    end, never = program.place(), program.place()
    program.add(VALUE, 0, on_success=never, if_nonzero=True)
    program.add(VALUE, 1, on_success=end, if_nonzero=True)
    program.put(never)
    program.add("exit_group", 1)
    program.put(end)
    program.add("exit_group", 4)
    assert perform(executor, program)[0] == 4


def test_a_result_can_be_any_argument_of_a_later_call(executor: Executor) -> None:
    program = Program()
    code = program.add(VALUE, 6)
    reading, writing = os.pipe()
    there = program.add(VALUE, writing)
    size = program.add(VALUE, 3)
    program.add("write", there, b"abc", size)
    program.add("exit_group", code)
    assert perform(executor, program)[0] == 6
    assert os.read(reading, 10) == b"abc"
    os.close(reading)
    os.close(writing)


def test_what_the_kernel_writes_is_seen_by_later_calls(executor: Executor) -> None:
    program, held = Program(), Scratch("held", 16)
    reading, writing = os.pipe()
    os.write(writing, b"\x09\0\0\0")
    program.add("read", reading, held, 4)
    program.add("write", writing, held, 4)
    program.add("exit_group", 0)
    assert perform(executor, program)[0] == 0
    assert os.read(reading, 10) == b"\x09\0\0\0"
    os.close(reading)
    os.close(writing)


def test_all_errors_may_be_ignored(executor: Executor) -> None:
    program = Program()
    program.add("close", 9999, tolerated=ANY)
    program.add("exit_group", 0)
    assert perform(executor, program)[:2] == (0, None)


def test_a_container_is_the_same_whoever_sets_it_up(box: Boxes) -> None:
    done = box.run(
        "sh", "-c",
        "id; hostname; mount | grep -c .; ls /dev; grep -E 'Cap|Seccomp:|NoNew' /proc/self/status;"
        "cat /proc/self/cgroup; ls /proc/1/fd; echo $$",
    )  # fmt: skip
    assert done.code == 0
    assert done.lines[:2] == ["uid=0 gid=0", "box"]
    assert "CapEff:\t00000000a80425fb" in done.lines
    assert "CapInh:\t0000000000000000" in done.lines
    assert "Seccomp:\t2" in done.lines
    assert done.lines[-4:] == ["0", "1", "2", "1"]


def test_an_exec_is_the_same_whoever_sets_it_up(box: Boxes) -> None:
    spec = box.spec("sleep", "60")
    name = box.start(spec)
    done = box.exec(name, spec, "sh", "-c", "hostname; cat /proc/1/comm; id -u", cwd="/tmp",
                    user=oci.User(uid=7, gid=8))  # fmt: skip
    assert done.output == "box\nsleep\n7\n"


def test_a_terminal_is_brought_out(box: Boxes) -> None:
    done = box.run("sh", "-c", "tty; stty size", process={"terminal": True},
                   request={"console_size": (40, 100)})  # fmt: skip
    assert done.output == "/dev/pts/0\n40 100\n"


@pytest.mark.parametrize(
    ("word", "code", "said"),
    [
        ("absent", 127, 'exec: "absent": executable file not found in $PATH'),
        ("/absent", 127, 'exec: "/absent": stat /absent: no such file or directory'),
        ("/tmp", 126, 'exec: "/tmp": is a directory'),
        ("/etc/note", 126, 'exec: "/etc/note": permission denied'),
    ],
)
def test_a_program_that_cannot_run_is_told_as_clients_know_it(
    box: Boxes, word: str, code: int, said: str
) -> None:
    (box.image / "etc/note").write_text("no program")
    with pytest.raises(StartFailed) as failure:
        box.run(word)
    assert failure.value.exit_code == code
    assert failure.value.message == (
        "OCI runtime create failed: runc create failed: unable to start container process: "
        f"{said}: unknown"
    )


def test_a_program_of_the_wrong_format_ends_the_container(box: Boxes) -> None:
    program = box.image / "bin/bad"
    program.write_bytes(b"\0no program")
    program.chmod(0o755)
    done = box.run("bad")
    assert (done.code, done.output) == (255, "exec bad: exec format error\n")


def test_users_of_a_namespace_are_mapped(box: Boxes) -> None:
    ids = [oci.IDMapping(container_id=0, host_id=200000, size=65536)]
    done = box.run(
        "sh", "-c", "id -u; cat /proc/self/uid_map; echo x > /dev/null; echo $?",
        spaces=("mount", "pid", "uts", "ipc", "network", "cgroup", "user"),
        linux={"uid_mappings": ids, "gid_mappings": ids},
    )  # fmt: skip
    assert done.lines == ["0", "         0     200000      65536", "0"]
