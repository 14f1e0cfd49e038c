"""`docker run` by the real client: streams, exit codes, names, flags."""

from __future__ import annotations

import contextlib
import subprocess
import time

import pytest
from tests.support.engine import PATIENCE, Engine
from tests.system.conftest import IMAGE


def test_hello_world_runs_from_the_built_in_image(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "hello-world")
    assert "Hello" in done.stdout


def test_output_and_errors_arrive_on_their_own_streams(engine: Engine) -> None:
    done = engine.docker("run", "--rm", IMAGE, "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_the_programs(engine: Engine, code: int) -> None:
    assert (
        engine.docker("run", "--rm", IMAGE, "sh", "-c", f"exit {code}", check=False).returncode
        == code
    )


def test_a_program_killed_by_a_signal_exits_with_128_and_its_number(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "--init", IMAGE, "sh", "-c", "kill -9 $$", check=False)
    assert done.returncode == 137


def test_a_command_that_is_not_there_exits_127(engine: Engine) -> None:
    done = engine.docker("run", "--rm", IMAGE, "no-such-command", check=False)
    assert done.returncode == 127
    assert 'exec: "no-such-command": executable file not found in $PATH' in done.stderr


def test_a_command_that_may_not_be_executed_exits_126(engine: Engine) -> None:
    done = engine.docker("run", "--rm", IMAGE, "/etc", check=False)
    assert done.returncode == 126
    assert "permission denied" in done.stderr or "is a directory" in done.stderr


def test_a_bad_flag_value_exits_125_and_makes_nothing(engine: Engine, name: str) -> None:
    done = engine.docker("run", "--name", name, "-m", "1k", IMAGE, "true", check=False)
    assert done.returncode == 125
    assert "Minimum memory limit allowed is 6MB" in done.stderr
    assert name not in engine.docker("ps", "-a").stdout


def test_standard_input_reaches_the_program_and_its_end_too(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "-i", IMAGE, "cat", input="one\ntwo\n")
    assert done.stdout == "one\ntwo\n"


def test_a_large_stream_arrives_whole(engine: Engine) -> None:
    done = engine.docker("run", "--rm", IMAGE, "sh", "-c", "seq 1 200000", timeout=120 * PATIENCE)
    assert done.stdout == "".join(f"{n}\n" for n in range(1, 200001))


def test_a_terminal_is_a_terminal(engine: Engine) -> None:
    words = f"docker -H {engine.host} run --rm -t {IMAGE} sh -c 'tty; stty size; echo end'"
    done = subprocess.run(
        ["script", "-qec", words, "/dev/null"],
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "/dev/pts/0" in done.stdout
    assert "end" in done.stdout


def test_a_detached_container_prints_its_id_and_runs_on(engine: Engine, name: str) -> None:
    made = engine.docker("run", "-d", "--name", name, IMAGE, "sleep", "3600").stdout.strip()
    try:
        assert len(made) == 64
        shown = engine.docker(
            "ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Status}}"
        ).stdout
        assert f"{made} {name} Up" in shown
    finally:
        engine.docker("rm", "-f", name)


def test_rm_removes_the_container_and_its_anonymous_volumes(engine: Engine, name: str) -> None:
    before = engine.docker("volume", "ls", "-q").stdout
    engine.docker("run", "--rm", "--name", name, "-v", "/data", IMAGE, "touch", "/data/file")
    assert name not in engine.docker("ps", "-a").stdout
    assert engine.docker("volume", "ls", "-q").stdout == before


def test_a_name_belongs_to_one_container(engine: Engine, name: str) -> None:
    engine.docker("create", "--name", name, IMAGE)
    try:
        done = engine.docker("create", "--name", name, IMAGE, check=False)
        assert f'The container name "/{name}" is already in use by container' in done.stderr
    finally:
        engine.docker("rm", name)


def test_environment_workdir_hostname_and_user_are_as_asked(engine: Engine) -> None:
    script = "echo $COLOUR; pwd; hostname; id -u; id -g; id -G"
    done = engine.docker(
        "run", "--rm", "-e", "COLOUR=green", "-w", "/somewhere/new", "-h", "box",
        "-u", "1234:5678", "--group-add", "99", IMAGE, "sh", "-c", script,
    )  # fmt: skip
    assert done.stdout.split() == ["green", "/somewhere/new", "box", "1234", "5678", "5678", "99"]


def test_an_unknown_image_says_so(engine: Engine) -> None:
    done = engine.docker("run", "--rm", "--pull", "never", "no/such:image", check=False)
    assert done.returncode == 125
    assert "No such image: no/such:image" in done.stderr


def test_wait_gives_the_exit_code_and_logs_keep_the_output(engine: Engine, name: str) -> None:
    engine.docker("run", "-d", "--name", name, IMAGE, "sh", "-c", "echo one; sleep 0.3; exit 7")
    assert engine.docker("wait", name).stdout.strip() == "7"
    assert engine.docker("logs", name).stdout == "one\n"
    state = engine.docker("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).stdout
    assert state.split() == ["exited", "7"]
    engine.docker("rm", name)


def test_logs_follow_until_the_end(engine: Engine, name: str) -> None:
    engine.docker(
        "run",
        "-d",
        "--name",
        name,
        IMAGE,
        "sh",
        "-c",
        "for i in 1 2 3; do echo $i; sleep 0.2; done",
    )
    assert engine.docker("logs", "-f", name).stdout == "1\n2\n3\n"
    assert engine.docker("logs", "--tail", "1", name).stdout == "3\n"
    stamped = engine.docker("logs", "-t", "--tail", "1", name).stdout
    assert stamped.split()[1] == "3"
    assert stamped.split()[0].endswith("Z")
    engine.docker("rm", name)


def test_stop_signals_and_then_kills(engine: Engine, name: str) -> None:
    engine.docker("run", "-d", "--name", name, IMAGE, "sleep", "3600")
    began = time.monotonic()
    engine.docker("stop", "-t", "1", name)
    assert time.monotonic() - began >= 0.9  # sleep as pid 1 ignores the stop signal
    state = engine.docker("inspect", "-f", "{{.State.ExitCode}}", name).stdout
    assert state.strip() == "137"
    engine.docker("rm", name)


def test_a_program_that_traps_the_stop_signal_ends_by_itself(engine: Engine, name: str) -> None:
    script = "trap 'echo bye; exit 3' TERM; while :; do sleep 0.1; done"
    engine.docker("run", "-d", "--name", name, IMAGE, "sh", "-c", script)
    time.sleep(0.3)
    engine.docker("stop", name)
    assert engine.docker("logs", name).stdout == "bye\n"
    assert engine.docker("inspect", "-f", "{{.State.ExitCode}}", name).stdout.strip() == "3"
    engine.docker("rm", name)


def test_restart_and_start_run_the_program_again(engine: Engine, name: str) -> None:
    engine.docker("run", "--name", name, IMAGE, "echo", "again")
    assert engine.docker("start", "-a", name).stdout == "again\n"
    engine.docker("restart", name)
    engine.docker("wait", name)
    assert engine.docker("logs", name).stdout == "again\n" * 3
    engine.docker("rm", name)


def test_pause_stops_the_clock_of_all_processes(engine: Engine, name: str) -> None:
    script = "while :; do echo tick; sleep 0.05; done"
    engine.docker("run", "-d", "--name", name, IMAGE, "sh", "-c", script)
    try:
        engine.docker("pause", name)
        assert "(Paused)" in engine.docker("ps", "-f", f"name={name}").stdout
        before = engine.docker("logs", name).stdout
        time.sleep(0.3)
        assert engine.docker("logs", name).stdout == before
        engine.docker("unpause", name)
        time.sleep(0.3)
        assert len(engine.docker("logs", name).stdout) > len(before)
    finally:
        engine.docker("rm", "-f", name)


def test_an_exec_runs_beside_the_program(engine: Engine, name: str) -> None:
    engine.docker("run", "-d", "--name", name, "-e", "A=1", IMAGE, "sleep", "3600")
    try:
        done = engine.docker(
            "exec",
            "-e",
            "B=2",
            "-w",
            "/tmp",
            name,
            "sh",
            "-c",
            "echo $A$B; pwd; exit 5",
            check=False,
        )
        assert (done.returncode, done.stdout) == (5, "12\n/tmp\n")
        assert engine.docker("exec", "-i", name, "cat", input="in\n").stdout == "in\n"
        missing = engine.docker("exec", name, "nope", check=False)
        assert missing.returncode == 127
        assert engine.docker("exec", "-u", "77", name, "id", "-u").stdout == "77\n"
        engine.docker("exec", "-d", name, "touch", "/made")
        time.sleep(0.3)
        assert engine.docker("exec", name, "ls", "/made").stdout == "/made\n"
    finally:
        engine.docker("rm", "-f", name)


def test_what_is_started_again_and_again_can_be_removed_at_any_moment(engine: Engine) -> None:
    """Its next start may be on its way when it is to be removed."""
    with contextlib.closing(engine.api()) as api:
        for number in range(30):
            again = {"Name": "always"}
            made = api.containers.run(IMAGE, ["false"], restart_policy=again, detach=True)
            time.sleep(0.08 + number * 0.002)
            made.remove(force=True)


def test_a_restart_policy_starts_a_failing_program_again(engine: Engine, name: str) -> None:
    engine.docker(
        "run",
        "-d",
        "--name",
        name,
        "--restart",
        "on-failure:2",
        IMAGE,
        "sh",
        "-c",
        "echo try; exit 1",
    )
    deadline = time.monotonic() + 20 * PATIENCE
    while time.monotonic() < deadline:
        shown = engine.docker("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", name).stdout
        if shown.split() == ["exited", "2"]:
            break
        time.sleep(0.1)
    assert shown.split() == ["exited", "2"]
    assert engine.docker("logs", name).stdout == "try\n" * 3
    engine.docker("rm", name)


def test_cp_moves_files_both_ways(engine: Engine, name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    engine.docker("create", "--name", name, IMAGE, "cat", "/in/note")
    try:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "note").write_text("carried\n")
        engine.docker("cp", str(tmp_path / "in"), f"{name}:/")
        assert engine.docker("start", "-a", name).stdout == "carried\n"
        engine.docker("cp", f"{name}:/in/note", str(tmp_path / "back"))
        assert (tmp_path / "back").read_text() == "carried\n"
    finally:
        engine.docker("rm", name)


def test_commit_keeps_what_changed_and_how_to_run_it(engine: Engine, name: str) -> None:
    engine.docker("run", "--name", name, IMAGE, "sh", "-c", "echo kept > /kept; rm /bin/sleep")
    assert "A /kept" in engine.docker("diff", name).stdout
    engine.docker("commit", "-c", 'CMD ["cat", "/kept"]', "-m", "why", name, "committed:1")
    assert engine.docker("run", "--rm", "committed:1").stdout == "kept\n"
    gone = engine.docker("run", "--rm", "committed:1", "ls", "/bin/sleep", check=False)
    assert gone.returncode != 0
    assert "why" in engine.docker("history", "--no-trunc", "committed:1").stdout
    engine.docker("rm", name)
    engine.docker("rmi", "committed:1")


def test_save_load_export_and_import_carry_an_image(engine: Engine, name: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    archive, tree = str(tmp_path / "image.tar"), str(tmp_path / "tree.tar")
    engine.docker("tag", IMAGE, "carried:1")
    engine.docker("save", "-o", archive, "carried:1")
    engine.docker("rmi", "carried:1")
    assert "Loaded image: carried:1" in engine.docker("load", "-i", archive).stdout
    engine.docker("run", "--name", name, "carried:1", "touch", "/mark")
    engine.docker("export", "-o", tree, name)
    engine.docker("import", "-c", 'CMD ["ls", "/mark"]', tree, "flat:1")
    assert engine.docker("run", "--rm", "flat:1").stdout == "/mark\n"
    engine.docker("rm", name)
    engine.docker("rmi", "flat:1", "carried:1")


def test_top_stats_and_port_tell_of_a_running_container(engine: Engine, name: str) -> None:
    engine.docker("run", "-d", "--name", name, "-p", "127.0.0.1::80", IMAGE, "sleep", "3600")
    try:
        assert "sleep 3600" in engine.docker("top", name).stdout
        stats = engine.docker(
            "stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", name
        )
        assert stats.stdout.startswith(f"{name} 1 ")
        assert engine.docker("port", name).stdout.startswith("80/tcp -> 127.0.0.1:")
    finally:
        engine.docker("rm", "-f", name)


def test_rename_and_update_change_a_running_container(engine: Engine, name: str) -> None:
    engine.docker("run", "-d", "--name", name, "-m", "64m", IMAGE, "sleep", "3600")
    engine.docker("rename", name, f"{name}-new")
    try:
        engine.docker("update", "-m", "96m", "--memory-swap", "128m", f"{name}-new")
        shown = engine.docker("inspect", "-f", "{{.HostConfig.Memory}}", f"{name}-new").stdout
        assert int(shown) == 96 << 20
    finally:
        engine.docker("rm", "-f", f"{name}-new")


def test_events_tell_a_containers_story(engine: Engine, name: str) -> None:
    since = str(time.time() - 0.001)
    engine.docker("run", "--rm", "--name", name, IMAGE, "true")
    story = engine.docker(
        "events", "--since", since, "--until", str(time.time() + 0.5), "-f", f"container={name}",
        "--format", "{{.Action}}",
    ).stdout.split()  # fmt: skip
    assert story == ["create", "attach", "start", "die", "destroy"]


def test_a_health_check_is_seen(engine: Engine, name: str) -> None:
    engine.docker(
        "run", "-d", "--name", name, "--health-cmd", "test -e /tmp/ok",
        "--health-interval", "200ms", "--health-retries", "2", IMAGE, "sleep", "3600",
    )  # fmt: skip

    def wait_health(wanted: str) -> str:
        deadline = time.monotonic() + 15 * PATIENCE
        while time.monotonic() < deadline:
            shown = engine.docker("inspect", "-f", "{{.State.Health.Status}}", name).stdout.strip()
            if shown == wanted:
                break
            time.sleep(0.1)
        return shown

    try:
        assert wait_health("unhealthy") == "unhealthy"
        engine.docker("exec", name, "touch", "/tmp/ok")
        assert wait_health("healthy") == "healthy"
    finally:
        engine.docker("rm", "-f", name)
