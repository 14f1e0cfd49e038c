"""Scopes that systemd makes; only where it has started the machine, as in the virtual one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.boxes import Boxes, boxes
from tests.support.engine import PATIENCE, Engine
from tests.support.planned import PlannedRuntime

from boxship.kernel import processes
from boxship.runtime.cgroups import layout, scopes
from boxship.runtime.native import NativeRuntime
from boxship.spec.oci import runtime as oci

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        not scopes.is_booted() or bool(layout.here().v1),
        reason="systemd has not started this machine with cgroup v2",
    ),
]
DRIVER = ("--exec-opt", "native.cgroupdriver=systemd", "--cgroup-parent", "system.slice")
RUNTIMES = {"table": NativeRuntime, "planned": PlannedRuntime}


@pytest.fixture(params=list(RUNTIMES))
def runtime(request: pytest.FixtureRequest) -> Iterator[Boxes]:
    with boxes(RUNTIMES[request.param]()) as made:
        yield made


def shown(unit: str, *names: str) -> dict[str, str]:
    """Return what systemd says of a unit."""
    command = ["systemctl", "show", unit, f"--property={','.join(names)}"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines())


def test_a_container_is_a_scope_of_systemds(runtime: Boxes) -> None:
    name = f"t{time.monotonic_ns()}"
    limits = oci.Resources(memory=oci.Memory(limit=1 << 26), pids=oci.Pids(limit=30))
    linux = {"cgroups_path": f"system.slice:boxship:{name}", "resources": limits}
    key = runtime.start(runtime.spec("sleep", "600", linux=linux))
    pid = runtime.running[key].pid
    unit = f"boxship-{name}.scope"
    folder = Path(f"/sys/fs/cgroup/system.slice/{unit}")
    assert Path(f"/proc/{pid}/cgroup").read_text() == f"0::/system.slice/{unit}\n"
    assert folder.joinpath("cgroup.procs").read_text().split() == [str(pid)]  # the holder is gone
    assert folder.joinpath("memory.max").read_text() == f"{1 << 26}\n"
    told = shown(unit, "ActiveState", "MemoryMax", "TasksMax", "Delegate")
    assert told == {
        "ActiveState": "active", "MemoryMax": str(1 << 26), "TasksMax": "30", "Delegate": "yes",
    }  # fmt: skip
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    assert folder.joinpath("memory.max").read_text() == f"{1 << 26}\n"
    assert processes.is_alive(pid)
    runtime.end(key)
    deadline = time.monotonic() + 60 * PATIENCE
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("own_engine", [DRIVER], indirect=True)
def test_an_engine_has_systemd_make_its_groups(own_engine: Engine) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    assert own_engine.docker("info", "-f", "{{.CgroupDriver}}").stdout == "systemd\n"
    words = ("run", "-d", "-m", "64m", "busybox", "sleep", "600")
    container = own_engine.docker(*words).stdout.strip()
    unit = f"boxship-{container}.scope"
    assert shown(unit, "ActiveState", "MemoryMax") == {
        "ActiveState": "active", "MemoryMax": str(64 << 20),
    }  # fmt: skip
    own_engine.docker("update", "-m", "32m", "--memory-swap", "32m", container)
    assert shown(unit, "MemoryMax") == {"MemoryMax": str(32 << 20)}
    assert own_engine.docker("exec", container, "echo", "there").stdout == "there\n"
    own_engine.docker("rm", "-f", container)
    for _ in range(3):
        assert own_engine.docker("run", "--rm", "busybox", "echo", "short").stdout == "short\n"
    assert own_engine.boxship("system", "check", check=False).returncode == 0
