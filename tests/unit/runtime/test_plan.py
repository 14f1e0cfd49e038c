"""Plans are values: what is in them, and in which order, needs no kernel to be seen."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from boxship.kernel.syscalls import NUMBER
from boxship.runtime import descriptors, entry, identity, small_init, sources, table
from boxship.runtime.api import Stdio
from boxship.runtime.cgroups import scopes
from boxship.runtime.confine import as_path, check_sysctls
from boxship.runtime.errors import BadBundle
from boxship.runtime.program import Program
from boxship.runtime.verdict import allows
from boxship.spec.oci import runtime as oci

STUBS = Path(table.__file__).parent / "stubs"
ASSEMBLERS = {"x86_64": "x86_64-linux-gnu-", "aarch64": "aarch64-linux-gnu-"}


def calls(program: Program, name: str) -> list[tuple[object, ...]]:
    return [call.arguments for call in program.calls if call.name == name]


def test_candidates_are_looked_for_in_path_unless_there_is_a_slash() -> None:
    assert entry.candidates("a/b", ["PATH=/x"]) == ("a/b",)
    assert entry.candidates("b", ["PATH=/x:/y/", "A=1"]) == ("/x/b", "/y/b")
    assert entry.candidates("b", ["PATH=:relative:/y"]) == ("/y/b",)
    assert entry.candidates("b", []) == ()


def test_all_descriptors_but_those_kept_are_closed() -> None:
    program = Program()
    descriptors.close_others(program, [7, 4, 4, 3])
    assert calls(program, "close_range") == [(5, 6, 0), (8, 0xFFFFFFFF, 0)]


def test_streams_that_are_not_given_are_null() -> None:
    program = Program()
    descriptors.place_streams(program, Stdio(None, 12, None))
    assert len(calls(program, "openat")) == 1
    assert [arguments[1] for arguments in calls(program, "dup3")] == [0, 1, 2]


@pytest.mark.parametrize("number", [-1, 1 << 31, (1 << 32) - 1, 1 << 32])
def test_ids_that_wrap_around_are_refused(number: int) -> None:
    for user in (oci.User(uid=number, gid=0), oci.User(uid=0, gid=number),
                 oci.User(uid=0, gid=0, additional_gids=[number])):  # fmt: skip
        with pytest.raises(BadBundle):
            identity.check_user(user)


def test_no_capability_is_inheritable_unless_asked_for() -> None:
    rights = identity.Privileges(oci.Capabilities(permitted=["CAP_CHOWN"], effective=["CAP_CHOWN"]))
    assert (rights.inheritable, rights.ambient) == (0, 0)
    assert rights.effective == 1


def test_a_capability_that_the_kernel_does_not_know_is_left_out() -> None:
    rights = identity.Privileges(oci.Capabilities(permitted=["CAP_CHOWN", "CAP_OF_TOMORROW"]))
    assert rights.permitted == 1


def test_the_filter_comes_after_the_rights_only_with_no_new_privileges() -> None:
    program = Program()
    identity.load_filter(program, b"\0" * 8, 0)
    assert len(calls(program, "seccomp")) == 1


def test_paths_are_cleaned_as_text() -> None:
    assert sources.clean("//a/./b/../c/") == "/a/c"
    assert sources.clean("../../x") == "/x"


@pytest.mark.parametrize("path", ["/proc/sys", "/proc/1", "/proc/self/attr", "/proc/a/../sys"])
def test_nothing_is_mounted_over_what_the_kernel_is_asked_through(path: str) -> None:
    mount = oci.Mount(destination=path, source="x", type="tmpfs")
    source = sources.Source(mount, sources.clean(path), sources.options.parse([]))
    with pytest.raises(BadBundle):
        sources.check_over_proc(source)


def test_proc_is_covered_by_proc_only() -> None:
    tmpfs = oci.Mount(destination="/proc", source="x", type="tmpfs")
    with pytest.raises(BadBundle):
        sources.check_over_proc(sources.Source(tmpfs, "/proc", sources.options.parse([])))
    proc = oci.Mount(destination="/proc", source="proc", type="proc")
    sources.check_over_proc(sources.Source(proc, "/proc", sources.options.parse([])))
    over = oci.Mount(destination="/proc/meminfo", source="x", type="bind")
    sources.check_over_proc(sources.Source(over, "/proc/meminfo", sources.options.parse([])))


def test_settings_of_the_host_are_refused() -> None:
    own = frozenset(("network", "ipc", "uts"))
    check_sysctls({"net.ipv4.ip_forward": "1", "kernel.shmmax": "1", "fs.mqueue.msg_max": "9"}, own)
    hosts = ("kernel.panic", "vm.swappiness", "kernel.hostname", "fs.file-max")
    for name in (*hosts, "net/../kernel/core_pattern", "fs/mqueue/../../kernel/panic"):
        with pytest.raises(BadBundle):
            check_sysctls({name: "1"}, own)
    with pytest.raises(BadBundle):
        check_sysctls({"net.ipv4.ip_forward": "1"}, frozenset())


def test_either_separator_of_a_setting_may_be_used() -> None:
    assert as_path("net.ipv4.conf.all.forwarding") == "net/ipv4/conf/all/forwarding"
    assert as_path("net/ipv4/conf/eth0.1/forwarding") == "net/ipv4/conf/eth0.1/forwarding"


def test_a_filter_is_asked_without_loading_it() -> None:
    import struct

    def code(*words: tuple[int, int, int, int]) -> bytes:
        return b"".join(struct.pack("HBBI", *word) for word in words)

    only_clone = code(
        (0x20, 0, 0, 0), (0x15, 0, 1, NUMBER["clone"]), (6, 0, 0, 0x7FFF0000), (6, 0, 0, 0x50001)
    )
    assert allows(only_clone, "clone", 0)
    assert not allows(only_clone, "execve")


@pytest.mark.parametrize("machine", sorted(table.STUBS))
def test_the_stub_is_what_its_source_says(machine: str, tmp_path: Path) -> None:
    assert assembled(STUBS / f"{machine}.S", machine, tmp_path) == table.STUBS[machine]


@pytest.mark.parametrize("machine", sorted(small_init.CODE))
def test_the_small_init_is_what_its_source_says(machine: str, tmp_path: Path) -> None:
    assert assembled(STUBS / f"init_{machine}.S", machine, tmp_path) == small_init.CODE[machine]


@pytest.mark.parametrize("machine", sorted(scopes.HOLDER))
def test_the_holder_of_a_scope_is_what_its_source_says(machine: str, tmp_path: Path) -> None:
    assert assembled(STUBS / f"holder_{machine}.S", machine, tmp_path) == scopes.HOLDER[machine]


def assembled(source: Path, machine: str, folder: Path) -> bytes:
    prefix = ASSEMBLERS[machine] if os.uname().machine != machine else ""
    if not shutil.which(f"{prefix}as") or not shutil.which(f"{prefix}objcopy"):
        pytest.skip(f"no assembler for {machine}")
    subprocess.run([f"{prefix}as", "-o", "made.o", source], cwd=folder, check=True)
    flags = ["-O", "binary", "-j", ".text"]
    subprocess.run([f"{prefix}objcopy", *flags, "made.o", "made"], cwd=folder, check=True)
    return (folder / "made").read_bytes()
