"""`boxship-runtime` as other engines use it: a bundle, one call for each step."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from tests.support.boxes import Boxes
from tests.support.engine import PATIENCE

from boxship.runtime import cgroups
from boxship.runtime.native import NativeRuntime
from boxship.spec.oci import runtime as oci

pytestmark = pytest.mark.root
PROGRAM = (
    "import sys; sys.argv[0] = 'boxship-runtime'; from boxship.runtime.command import main; main()"
)
Finished = subprocess.CompletedProcess[str]

LONG = 30 * PATIENCE  # seconds


@dataclass
class Command:
    box: Boxes
    root: Path

    def __call__(self, *words: str, check: bool = True, **options: object) -> Finished:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "--root", str(self.root), *words],
            capture_output=True, text=True, timeout=LONG, check=False, stdin=subprocess.DEVNULL,
            **options,  # type: ignore[call-overload]
        )  # fmt: skip
        if check:
            assert done.returncode == 0, done.stderr
        return done  # type: ignore[no-any-return]

    def create(self, name: str, *words: str) -> None:
        """Create a container that has nothing of ours as its output."""
        subprocess.run(
            [sys.executable, "-c", PROGRAM, "--root", str(self.root), "create", *words, name],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            timeout=LONG, check=True,
        )  # fmt: skip

    def bundle(self, *words: str, **differences: object) -> list[str]:
        """Write a bundle, and return the flag that names it."""
        folder = self.box.folder / "bundle"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.box.image, folder / "rootfs", symlinks=True)
        spec = self.box.spec(*words, **differences)  # type: ignore[arg-type]
        (folder / "config.json").write_bytes(msgspec.json.encode(spec))
        return ["--bundle", str(folder)]

    def state(self, name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self("state", name).stdout)
        return found

    def wait(self, name: str, status: str) -> None:
        deadline = time.monotonic() + LONG
        while self.state(name)["status"] != status:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def command(box: Boxes, native: NativeRuntime) -> Iterator[Command]:
    made = Command(box, box.folder / "state")
    yield made
    if made.root.exists():
        for name in os.listdir(made.root):
            if not name.startswith("."):
                made("delete", "--force", name)


def test_a_life_in_single_steps(command: Command, tmp_path: Path) -> None:
    output = tmp_path / "output"
    script = "echo up; trap 'exit 4' TERM; while :; do usleep 20000; done"
    with output.open("w") as file:
        subprocess.run(
            [sys.executable, "-c", PROGRAM, "--root", str(command.root), "create",
             *command.bundle("sh", "-c", script), "--pid-file", str(tmp_path / "pid"), "one"],
            stdout=file, stderr=file, stdin=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    state = command.state("one")
    assert (state["status"], state["ociVersion"]) == ("created", oci.VERSION)
    assert state["pid"] == int((tmp_path / "pid").read_text())
    assert output.read_text() == ""
    command("start", "one")
    command.wait("one", "running")
    assert command("exec", "one", "echo", "inside").stdout == "inside\n"
    assert command("exec", "--cwd", "/tmp", "-e", "A=b", "-u", "5:6", "one", "sh", "-c",
                   "pwd; echo $A; id -u; id -g").stdout == "/tmp\nb\n5\n6\n"  # fmt: skip
    command("pause", "one")
    assert command.state("one")["status"] == "paused"
    command("resume", "one")
    assert str(state["pid"]) in command("ps", "one").stdout
    assert "one" in command("list", "-q").stdout
    refused = command("delete", "one", check=False)
    assert refused.returncode == 1
    assert "is not stopped" in refused.stderr
    command("kill", "one", "TERM")
    command.wait("one", "stopped")
    command("delete", "one")
    assert "does not exist" in command("state", "one", check=False).stderr
    assert output.read_text() == "up\n"


def test_run_returns_what_the_program_returned(command: Command) -> None:
    done = command("run", *command.bundle("sh", "-c", "echo hi; exit 6"), "two", check=False)
    assert (done.returncode, done.stdout) == (6, "hi\n")
    assert command("list", "-q").stdout.strip() == ""


def test_a_program_that_is_not_there_is_told_in_the_log(command: Command, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = command("--log", str(log), "--log-format", "json", "create",
                   *command.bundle("absent"), "three", check=False)  # fmt: skip
    assert done.returncode == 1
    said = json.loads(log.read_text())
    assert said["level"] == "error"
    assert said["msg"] == (
        'runc create failed: unable to start container process: exec: "absent": executable file '
        "not found in $PATH"
    )
    assert command("list", "-q").stdout.strip() == ""


def test_a_terminal_goes_to_whoever_listens(command: Command, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        bundle = command.bundle("tty", process={"terminal": True})
        command("create", *bundle, "--console-socket", str(tmp_path / "socket"), "four")
        connection, _ = listener.accept()
        _, descriptors, _, _ = socket.recv_fds(connection, 100, 1)
        connection.close()
    command("start", "four")
    assert os.read(descriptors[0], 100) == b"/dev/pts/0\r\n"
    os.close(descriptors[0])
    command.wait("four", "stopped")


def test_descriptors_are_handed_on_only_when_asked(command: Command) -> None:
    bundle = command.bundle("sh", "-c", "ls /proc/$$/fd; true")
    for flags, seen in (
        ([], ["0", "1", "2"]),
        (["--preserve-fds", "2"], ["0", "1", "2", "3", "4"]),
    ):
        done = subprocess.run(
            ["sh", "-c", 'exec 3</dev/null 4</dev/null; exec "$@"', "sh",
             sys.executable, "-c", PROGRAM, "--root", command.root, "run", *flags, *bundle, "five"],
            capture_output=True, text=True, timeout=LONG, check=True, pass_fds=(),
        )  # fmt: skip
        assert done.stdout.split() == seen


def test_hooks_of_every_kind_run(command: Command, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def hook(name: str) -> oci.Hook:
        return oci.Hook(path="/bin/sh", args=["sh", "-c", f"cat > /dev/null; echo {name} >> {log}"])

    inside = command.box.image / "bin/hook"
    inside.write_text("#!/bin/sh\necho ran > /tmp/log\n")
    inside.chmod(0o755)
    names = ("prestart", "create_runtime", "create_container", "poststart", "poststop")
    hooks = oci.Hooks(
        **{name: [hook(name)] for name in names},
        start_container=[oci.Hook(path="/bin/hook", args=["hook"])],
    )
    done = command("run", *command.bundle("cat", "/tmp/log", hooks=hooks), "six")
    assert done.stdout == "ran\n"
    assert log.read_text().split() == list(names)


def test_names_that_are_paths_are_refused(command: Command) -> None:
    for name in ("../x", "a/b", "..", "", "x" * 2000):
        done = command("create", *command.bundle("true"), name, check=False)
        assert "invalid container ID" in done.stderr


def test_limits_can_be_changed(command: Command) -> None:
    command.create("seven", *command.bundle("sleep", "60"))
    command("update", "--pids-limit", "17", "seven")
    resources = oci.Resources(pids=oci.Pids(limit=19))
    (command.box.folder / "limits").write_bytes(msgspec.json.encode(resources))
    command("update", "--resources", str(command.box.folder / "limits"), "seven")
    spec = json.loads((command.root / "seven/state.json").read_text())
    places = [Path(f"/sys/fs/cgroup{tree}{spec['cgroup']}/pids.max") for tree in ("/pids", "")]
    assert next(one for one in places if one.exists()).read_text() == "19\n"


def test_features_are_told(command: Command) -> None:
    found = json.loads(command("features").stdout)
    assert "createContainer" in found["hooks"]
    assert "rro" in found["mountOptions"]


def test_a_bundle_begins_with_spec(command: Command, tmp_path: Path) -> None:
    shutil.copytree(command.box.image, tmp_path / "rootfs", symlinks=True)
    command("spec", "--bundle", str(tmp_path))
    assert "exists" in command("spec", "-b", str(tmp_path), check=False).stderr
    config = tmp_path / "config.json"
    spec = json.loads(config.read_text())
    assert spec["process"]["args"] == ["sh"]
    spec["process"] |= {"terminal": False, "args": ["sh", "-c", "id -u; touch /x || echo ro"]}
    spec["linux"]["cgroupsPath"] = f"/boxship-tests-{os.getpid()}/spec"
    config.write_text(json.dumps(spec))
    assert command("run", "--bundle", str(tmp_path), "eight").stdout == "0\nro\n"


def test_a_bundle_for_a_user_maps_that_user(command: Command, tmp_path: Path) -> None:
    command("spec", "--rootless", cwd=tmp_path)
    linux = json.loads((tmp_path / "config.json").read_text())["linux"]
    assert {"type": "user"} in linux["namespaces"]
    assert {"type": "network"} not in linux["namespaces"]
    assert [one["size"] for one in linux["uidMappings"]] == [1]


def test_events_tell_what_is_used_until_the_end(command: Command) -> None:
    command.create("nine", *command.bundle("sleep", "60"))
    command("start", "nine")
    (once,) = map(json.loads, command("events", "--stats", "nine").stdout.splitlines())
    assert (once["type"], once["id"]) == ("stats", "nine")
    assert once["data"]["pids"]["current"] >= 1
    assert once["data"]["cpu"]["usage"]["total"] > 0
    following = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--root", str(command.root), "events", "--interval",
         "100ms", "nine"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with following:
        assert following.stdout
        lines = [json.loads(following.stdout.readline()) for _ in range(2)]
        assert {line["type"] for line in lines} == {"stats"}
        command("kill", "nine", "KILL")
        following.communicate(timeout=LONG)
    assert following.returncode == 0
    assert "not running" in command("events", "nine", check=False).stderr
    assert "interval" in command("events", "--interval", "x", "nine", check=False).stderr


def test_memory_that_runs_out_is_an_event(command: Command) -> None:
    if "memory" not in cgroups.detect().controllers:
        pytest.skip("no memory controller")
    limits = oci.Resources(memory=oci.Memory(limit=16 << 20))
    hungry = (
        "until test -e /go; do usleep 20000; done; "
        "dd if=/dev/zero of=/dev/null bs=64M count=1; sleep 60"
    )
    made = command.bundle("sh", "-c", hungry, linux={"resources": limits})
    command.create("ten", *made)
    command("start", "ten")
    following = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "--root", str(command.root), "events", "--interval",
         "100ms", "ten"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with following:
        assert following.stdout
        assert json.loads(following.stdout.readline())["type"] == "stats"
        (command.box.folder / "bundle/rootfs/go").touch()
        while (line := json.loads(following.stdout.readline()))["type"] == "stats":
            pass
        assert line == {"type": "oom", "id": "ten"}
        command("kill", "ten", "KILL")
        following.communicate(timeout=LONG)


def test_podman_runs_containers_with_it(command: Command, tmp_path: Path) -> None:
    if not shutil.which("podman"):
        pytest.skip("podman is not installed")
    wrapper = tmp_path / "boxship-runtime"
    wrapper.write_text(
        f"#!/bin/sh\nPYTHONPATH={os.environ.get('PYTHONPATH', '')} exec {sys.executable} "
        f'-c "{PROGRAM}" "$@"\n'
    )
    wrapper.chmod(0o755)
    rootfs = command.box.image
    done = subprocess.run(
        ["podman", "--root", command.box.folder / "p", "--runroot", command.box.folder / "r",
         "--storage-driver", "vfs", "--runtime", wrapper, "run", "--rm", "--network", "none",
         "--ulimit", "nofile=1000:1000", "--ulimit", "nproc=1000:1000", "--rootfs", rootfs,
         "sh", "-c", "echo from podman; exit 9"],
        capture_output=True, text=True, timeout=2 * LONG, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (9, "from podman\n"), done.stderr
