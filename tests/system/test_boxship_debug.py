"""`boxship buildx debug`: the monitor, at a terminal and behind a pipe."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.engine import BOXSHIP, PATIENCE, Engine
from tests.support.terminal import Terminal, at_terminal
from tests.support.waiting import wait_until

FAILING = (
    "FROM busybox:latest\nENV SAID=so\nWORKDIR /work\nRUN echo before > /before\n"
    "RUN --mount=type=secret,id=s --mount=type=tmpfs,target=/t echo left > /left; exit 7\n"
)


def debug(
    engine: Engine, folder: Path, *words: str, typed: str = "", flags: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*BOXSHIP, "-H", engine.host, "buildx", "debug", *flags, "build", *words, str(folder)],
        input=typed,
        env={**os.environ, "SECRET": "hidden", "BUILDKIT_PROGRESS": "plain"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * PATIENCE,
    )


def left(engine: Engine) -> list[str]:
    """Return the processes of builds that run."""
    return [name for name in os.listdir(f"{engine.root}/x/b") if len(name) == 64]


def test_a_failed_step_is_looked_into_by_commands_of_a_pipe(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(FAILING)
    commands = [
        "exec cat /left /before /run/secrets/s",
        "exec sh -c 'echo $SAID; pwd; mount | grep \" /t \" | cut -c1-5; touch /more; ls /more'",
        "exec ls /more",
        "ps",
        "list",
        "rollback ls /more /left",
        "rollback --init ls /left /before",
        "exec sh -c 'exit 9'",
        "kill",
        "nonsense",
        "attach 99",
        "exec 'unclosed",
        "help",
        "",
        "disconnect",
        "exec true",
        "list",
    ]
    flags = ("--invoke", "debug-shell")
    done = debug(
        engine, tmp_path, "--secret", "id=s,env=SECRET", typed="\n".join(commands), flags=flags
    )
    assert done.returncode == 1, done.stderr
    out, said = done.stdout, done.stderr
    assert out.startswith("left\nbefore\nhiddenso\n/work\ntmpfs\n/more\nPID     COMMAND\nID  ")
    assert "exit code: 7" in said
    assert "/left\n" in out.partition("PID")[2]
    assert "\n/before\n" in out.partition("PID")[2]
    assert "ls: /more: No such file or directory" in said
    assert "ls: /left: No such file or directory" in said
    for problem in (
        "exit code: 9", "no build server", "unknown command: 'nonsense'", "no process '99'",
        "cannot parse", "no session any more",
    ):  # fmt: skip
        assert problem in said
    assert "rollback    begin anew" in out
    assert out.endswith("CURRENT_SESSION\n")
    assert not left(engine)
    listed = engine.boxship("buildx", "history", "ls").stdout.splitlines()[1]
    assert "Error" in listed


def test_a_program_of_the_pipe_reads_what_comes_from_it(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(FAILING)
    words = ("--secret", "id=s,env=SECRET", "--invoke", "entrypoint=sh,env=A=b,cwd=/")
    done = debug(engine, tmp_path, *words, typed="echo $A $SAID; pwd; cat /left")
    assert done.stdout == "b so\n/\nleft\n"
    assert done.returncode == 1


def test_a_build_that_ends_well_is_as_any_other(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nRUN echo well > /done\n")
    done = debug(engine, tmp_path, "-t", "debugged:1", "--iidfile", str(tmp_path / "id"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "id").read_text().startswith("sha256:")
    assert engine.docker("run", "--rm", "debugged:1", "cat", "/done").stdout == "well\n"


def test_a_result_is_looked_into_without_being_made_twice(engine: Engine, tmp_path: Path) -> None:
    """A build without a cache stands on its own: the monitor shows the very image."""
    once = "RUN cat /proc/sys/kernel/random/uuid > /once\n"
    (tmp_path / "Dockerfile").write_text(f"FROM busybox:latest\n{once}USER 7\nCMD id -u\n")
    flags = ("--on", "always", "--invoke", "cat /once")
    done = debug(engine, tmp_path, "--no-cache", "-t", "debugged:2", typed="exec\n", flags=flags)
    assert done.returncode == 0, done.stderr
    once = engine.docker("run", "--rm", "debugged:2", "cat", "/once").stdout
    assert done.stdout == once
    done = debug(engine, tmp_path, "--on=always", "--invoke=debug-shell", typed="exec\n")
    assert done.stdout == "7\n"


def test_a_build_is_done_again_with_what_was_changed(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nCOPY it /\nRUN grep good /it\n")
    (tmp_path / "it").write_text("bad\n")
    words = ("-t", "debugged:3", "--invoke", "debug-shell", str(tmp_path))
    process = subprocess.Popen(
        [*BOXSHIP, "-H", engine.host, "buildx", "debug", "build", "--progress=plain", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("exec cat /it\n")
    process.stdin.flush()
    assert process.stdout.readline() == "bad\n"
    (tmp_path / "it").write_text("good\n")
    process.communicate("reload\n", timeout=60 * PATIENCE)
    assert process.returncode == 0
    assert engine.docker("run", "--rm", "debugged:3", "cat", "/it").stdout == "good\n"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--on", "never", "."), "invalid value for --on: 'never'"),
        (("--call", "check", "."), "a question has no results"),
        (("-",), "stdin is not supported"),
        (("--invoke", "env", "--invoke", "tty=perhaps", "."), "failed to parse tty: perhaps"),
        (("--invoke", "entrypoint=sh,x=y", "."), "unknown key 'x'"),
        (("--nope", "."), "unknown flag: --nope"),
    ],
)
def test_what_cannot_be_looked_into_is_refused(
    engine: Engine, words: tuple[str, ...], problem: str
) -> None:
    done = engine.boxship("buildx", "debug", "build", *words, check=False)
    assert done.returncode
    assert problem in done.stderr


def test_only_builds_are_looked_into(engine: Engine) -> None:
    assert "unknown command" in engine.boxship("buildx", "debug", "bake", check=False).stderr
    assert "requires at least 1" in engine.boxship("buildx", "debug", check=False).stderr


# At a terminal


@contextmanager
def terminal(engine: Engine, folder: Path) -> Iterator[Terminal]:
    words = [*BOXSHIP, "-H", engine.host, "buildx", "debug", "--invoke", "/bin/sh", "build"]
    environment = {**os.environ, "BUILDKIT_PROGRESS": "plain"}
    with at_terminal([*words, str(folder)], environment) as found:
        yield found


def test_keys_lead_to_the_monitor_and_back(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nRUN false\n")
    with terminal(engine, tmp_path) as at:
        at.wait(b"# ")
        at.type(b"A=kept; tty; stty size\n")
        assert b"/dev/pts/" in at.wait(b"# ")
        at.type(b"\x01c")
        at.wait(b"(boxship) ")
        at.type(b"ps\n")
        assert b"1       /bin/sh" in at.wait(b"(boxship) ")
        at.type(b"exec sh -c 'echo sec''ond; read x; echo got $x'\n")
        at.wait(b"second")
        at.type(b"\x01\x01word\n")  # the prefix itself, for the program
        at.wait(b"got \x01word")
        at.wait(b"process 2 ended: exit code: 0")
        at.wait(b"(boxship) ")
        at.type(b"attach 1\n")
        at.type(b"echo still $A\n")
        at.wait(b"still kept")
        at.type(b"\x01h")
        at.wait(b"Ctrl-a x: exit")
        at.type(b"\x01x")
        assert at.process.wait(60 * PATIENCE) == 1
    wait_until(lambda: not left(engine))


def test_nothing_is_left_of_a_client_that_is_killed(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox:latest\nRUN false\n")
    with terminal(engine, tmp_path) as at:
        at.wait(b"# ")
        assert left(engine)
    wait_until(lambda: not left(engine))
