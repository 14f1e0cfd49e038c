"""What the kernel says of a container, seen from inside and outside, against what was asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.system.conftest import Start, inside

DEFAULT_CAPABILITIES = 0x00000000A80425FB


def status(container: object) -> dict[str, str]:
    """Return /proc/1/status of a container as fields."""
    lines = inside(container, "cat", "/proc/1/status").splitlines()  # type: ignore[arg-type]
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def mount_options(container: object, target: str) -> set[str]:
    """Return the options of the last mount at a path."""
    for line in reversed(inside(container, "cat", "/proc/mounts").splitlines()):  # type: ignore[arg-type]
        words = line.split()
        if words[1] == target:
            return set(words[3].split(","))
    raise AssertionError(f"{target} is not mounted")


def init_pid(container: object) -> int:
    return int(container.attrs["State"]["Pid"])  # type: ignore[attr-defined]


def test_the_default_container_has_dockers_capabilities_and_seccomp(start: Start) -> None:
    shown = status(start())
    assert int(shown["CapEff"], 16) == DEFAULT_CAPABILITIES
    assert int(shown["CapPrm"], 16) == DEFAULT_CAPABILITIES
    assert int(shown["CapBnd"], 16) == DEFAULT_CAPABILITIES
    assert int(shown["CapInh"], 16) == 0
    assert int(shown["CapAmb"], 16) == 0
    assert shown["Seccomp"] == "2"
    assert shown["NoNewPrivs"] == "0"


def test_an_exec_has_the_containers_capabilities_and_seccomp(start: Start) -> None:
    container = start(cap_drop=["ALL"], cap_add=["NET_ADMIN"])
    lines = inside(container, "cat", "/proc/self/status").splitlines()
    shown = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert int(shown["CapEff"], 16) == 1 << 12
    assert int(shown["CapBnd"], 16) == 1 << 12
    assert shown["Seccomp"] == "2"


@pytest.mark.parametrize(
    ("options", "bits"),
    [
        ({"cap_drop": ["ALL"]}, 0),
        ({"cap_drop": ["ALL"], "cap_add": ["CHOWN", "CAP_KILL"]}, 1 << 0 | 1 << 5),
        ({"cap_add": ["SYS_PTRACE"]}, DEFAULT_CAPABILITIES | 1 << 19),
        ({"cap_drop": ["NET_RAW"]}, DEFAULT_CAPABILITIES & ~(1 << 13)),
    ],
)
def test_capabilities_are_those_asked_for(
    start: Start, options: dict[str, object], bits: int
) -> None:
    assert int(status(start(**options))["CapBnd"], 16) == bits


def test_a_privileged_container_has_all_that_the_engine_has(start: Start) -> None:
    shown = status(start(privileged=True))
    own = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if ":\t" in line
    )
    assert int(shown["CapEff"], 16) == int(own["CapBnd"], 16)
    assert shown["Seccomp"] == "0"


def test_unconfined_and_no_new_privileges_are_obeyed(start: Start) -> None:
    shown = status(start(security_opt=["seccomp=unconfined", "no-new-privileges"]))
    assert (shown["Seccomp"], shown["NoNewPrivs"]) == ("0", "1")


def test_the_namespaces_are_its_own(start: Start) -> None:
    pid = init_pid(start())
    for kind in ("mnt", "pid", "uts", "ipc", "net"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}"), kind


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"pid_mode": "host"}, "pid"),
        ({"network_mode": "host"}, "net"),
        ({"ipc_mode": "host"}, "ipc"),
        ({"uts_mode": "host"}, "uts"),
    ],
)
def test_a_host_namespace_is_the_hosts(start: Start, options: dict[str, object], kind: str) -> None:
    pid = init_pid(start(**options))
    assert os.readlink(f"/proc/{pid}/ns/{kind}") == os.readlink(f"/proc/self/ns/{kind}")


def test_namespaces_of_another_container_are_shared(start: Start) -> None:
    first = start(ipc_mode="shareable")
    other = start(
        pid_mode=f"container:{first.id}",
        network_mode=f"container:{first.id}",
        ipc_mode=f"container:{first.id}",
    )
    for kind in ("pid", "net", "ipc"):
        assert os.readlink(f"/proc/{init_pid(first)}/ns/{kind}") == os.readlink(
            f"/proc/{init_pid(other)}/ns/{kind}"
        ), kind


def cgroup_file(pid: int, controller: str, v1: str, v2: str) -> str:
    """Return one cgroup value of a process, on either version."""
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controller}{path}/{v1}").read_text().strip()
    path = Path(f"/proc/{pid}/cgroup").read_text().strip().split("::", 1)[1]
    return Path(f"/sys/fs/cgroup{path}/{v2}").read_text().strip()


def test_limits_are_in_the_cgroup(start: Start) -> None:
    pid = init_pid(start(mem_limit="64m", pids_limit=77, cpu_period=50000, cpu_quota=25000))
    assert cgroup_file(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert cgroup_file(pid, "pids", "pids.max", "pids.max") == "77"
    quota = cgroup_file(pid, "cpu", "cpu.cfs_quota_us", "cpu.max")
    assert quota in ("25000", "25000 50000")


def test_a_program_over_its_memory_limit_is_killed_and_said_so(start: Start) -> None:
    container = start(
        "sh", "-c", "x=a; while :; do x=$x$x; done", mem_limit="16m", memswap_limit="16m"
    )
    assert container.wait()["StatusCode"] == 137
    container.reload()
    assert container.attrs["State"]["OOMKilled"] is True


def test_devices_are_the_usual_and_others_are_refused(start: Start) -> None:
    container = start()
    nodes = set(inside(container, "ls", "/dev").split())
    assert {"null", "zero", "full", "random", "urandom", "tty", "pts", "shm", "fd", "ptmx"} <= nodes
    code, _ = container.exec_run(["sh", "-c", "mknod /tmp/sda b 8 0 && head -c1 /tmp/sda"])
    assert code != 0


def test_a_device_asked_for_is_there(start: Start) -> None:
    container = start(devices=["/dev/fuse:/dev/myfuse:rw"])
    assert "10, 229" in inside(container, "ls", "-l", "/dev/myfuse")


def test_masked_and_readonly_paths_hold(start: Start) -> None:
    container = start()
    assert inside(container, "sh", "-c", "cat /proc/kcore 2>/dev/null | head -c1 | wc -c") == "0"
    code, _ = container.exec_run(["sh", "-c", "echo 1 > /proc/sys/kernel/domainname"])
    assert code != 0
    code, _ = container.exec_run(["sh", "-c", "echo h > /proc/sysrq-trigger"])
    assert code != 0


def test_a_readonly_root_refuses_writes_but_tmpfs_takes_them(start: Start) -> None:
    container = start(read_only=True, tmpfs={"/scratch": "size=1m,mode=1700"})
    code, _ = container.exec_run(["touch", "/file"])
    assert code != 0
    inside(container, "touch", "/scratch/file")
    assert "size=1024k" in mount_options(container, "/scratch")


def test_binds_are_seen_and_readonly_ones_refuse_writes(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("from the host")
    tmp_path.chmod(0o755)
    container = start(
        volumes={
            str(tmp_path): {"bind": "/in", "mode": "ro"},
            "/tmp": {"bind": "/host-tmp", "mode": "rw"},
        }
    )
    assert inside(container, "cat", "/in/file") == "from the host"
    code, _ = container.exec_run(["touch", "/in/other"])
    assert code != 0
    assert "ro" in mount_options(container, "/in")


def test_a_named_volume_outlives_its_container(start: Start, api: object, name: str) -> None:
    first = start("sh", "-c", "echo kept > /v/f", volumes={name: {"bind": "/v", "mode": "rw"}})
    first.wait()
    first.remove()
    second = start(volumes={name: {"bind": "/v", "mode": "rw"}})
    assert inside(second, "cat", "/v/f") == "kept"
    second.remove(force=True)
    api.volumes.get(name).remove()  # type: ignore[attr-defined]


def test_hostname_hosts_and_resolv_conf_are_given(start: Start) -> None:
    container = start(hostname="box", domainname="example.test", extra_hosts={"peer": "10.9.8.7"})
    assert inside(container, "hostname") == "box"
    hosts = inside(container, "cat", "/etc/hosts")
    assert "10.9.8.7\tpeer" in hosts
    assert "box" in hosts
    assert "nameserver" in inside(container, "cat", "/etc/resolv.conf")


def test_rlimits_sysctls_shm_and_oom_score_are_set(start: Start) -> None:
    import docker

    container = start(
        ulimits=[docker.types.Ulimit(name="nofile", soft=333, hard=444)],
        sysctls={"net.ipv4.ip_forward": "0", "kernel.msgmax": "4096"},
        shm_size="3m",
        oom_score_adj=500,
    )
    assert inside(container, "sh", "-c", "ulimit -Sn; ulimit -Hn").split() == ["333", "444"]
    assert inside(container, "cat", "/proc/sys/net/ipv4/ip_forward") == "0"
    assert inside(container, "cat", "/proc/sys/kernel/msgmax") == "4096"
    assert "size=3072k" in mount_options(container, "/dev/shm")
    assert inside(container, "cat", "/proc/1/oom_score_adj") == "500"


def test_an_init_process_reaps_orphans(start: Start) -> None:
    container = start("sh", "-c", "exec sleep 3600", init=True)
    assert "init" in inside(container, "cat", "/proc/1/comm")
    inside(container, "sh", "-c", "(sleep 0.1 &) ; sleep 0.4")
    states = inside(container, "sh", "-c", "grep -h State /proc/[0-9]*/status || true")
    assert "Z" not in states


def test_no_descriptor_of_the_engine_is_inherited(start: Start) -> None:
    container = start()
    assert inside(container, "ls", "/proc/1/fd").split() == ["0", "1", "2"]
    listed = inside(container, "sh", "-c", "ls -l /proc/self/fd")
    assert "/data" not in listed


@pytest.mark.parametrize("number", range(3, 16))
def test_a_workdir_through_a_descriptor_stays_inside(engine: object, number: int) -> None:
    done = engine.docker(  # type: ignore[attr-defined]
        "run",
        "--rm",
        "-w",
        f"/proc/self/fd/{number}",
        "busybox",
        "cat",
        "../../../../etc/hostname",
        check=False,
    )
    assert Path("/etc/hostname").read_text().strip() not in done.stdout or done.returncode != 0
