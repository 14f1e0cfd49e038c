"""A container's root: its mounts are as asked, and no trick of an image leads out of it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.boxes import Boxes, bind, mount

from boxship.kernel import namespaces
from boxship.runtime.errors import StartFailed
from boxship.spec.oci import runtime as oci

pytestmark = pytest.mark.root


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A folder of the host's; it must be as it was."""
    folder = tmp_path / "canary"
    folder.mkdir()
    (folder / "file").write_text("untouched")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert (folder / "file").read_text() == "untouched"


@pytest.mark.parametrize("with_init", [False, True])
def test_who_joins_the_mount_namespace_finds_the_containers_root(
    box: Boxes, with_init: bool
) -> None:
    """Something once lay between the host's root and the container's, and the host's stayed.

    The first process did not see it, but each that joined later began on top of it: in the host.
    """
    name = box.start(box.spec("sleep", "60"), init_program=with_init)
    pid = box.running[name].pid
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            namespaces.setns(namespaces.open_namespace(pid, "mount"), namespaces.CLONE_NEWNS)
            os.write(writing, b"\n".join(sorted(os.fsencode(n) for n in os.listdir("/"))))
        os._exit(0)
    os.close(writing)
    seen = os.read(reading, 4096).split()
    os.close(reading)
    os.waitpid(child, 0)
    inside = sorted(os.listdir(f"/proc/{pid}/root/"))
    assert [name.decode() for name in seen] == inside
    assert "boot" not in inside


def test_only_its_own_mounts_are_there(box: Boxes) -> None:
    done = box.run("cat", "/proc/self/mountinfo")
    places = {line.split()[4] for line in done.lines}
    assert {"/", "/proc", "/dev", "/sys", "/dev/pts", "/dev/shm", "/dev/mqueue"} <= places
    assert all(place.startswith(("/proc", "/dev", "/sys")) or place == "/" for place in places)


def test_binds_are_readonly_as_deep_as_asked(box: Boxes, canary: Path) -> None:
    done = box.run(
        "sh", "-c", "cat /v/file; touch /v/x; touch /v/in/x; echo $?; touch /w/in/x; echo $?",
        mounts=[
            mount("/deep", "tmpfs"),
            bind(canary, "/v", "rbind", "ro"),
            bind(canary, "/w", "rbind", "rro"),
        ],
    )  # fmt: skip
    assert done.output.startswith("untouched")
    assert "Read-only file system" in done.output


def test_propagation_is_private_unless_asked_for(box: Boxes, canary: Path) -> None:
    done = box.run("cat", "/proc/self/mountinfo", mounts=[bind(canary, "/v", "rbind")])
    (line,) = (line for line in done.lines if line.split()[4] == "/v")
    assert "shared:" not in line
    assert "master:" not in line


def test_a_bind_beneath_a_tmpfs_finds_its_place(box: Boxes, canary: Path) -> None:
    done = box.run(
        "sh", "-c", "cat /t/a/b/file /t/f",
        mounts=[
            mount("/t", "tmpfs", "mode=700", "size=64k"),
            bind(canary, "/t/a/b"),
            bind(canary / "file", "/t/f"),
        ],
    )  # fmt: skip
    assert done.output == "untoucheduntouched"


def test_a_tmpfs_looks_like_what_it_covers(box: Boxes) -> None:
    (box.image / "tmp").chmod(0o1770)
    done = box.run("stat", "-c", "%a", "/tmp", mounts=[mount("/tmp", "tmpfs")])
    assert done.output == "1770\n"


def test_a_folder_on_a_file_is_told_as_clients_know_it(box: Boxes, canary: Path) -> None:
    (box.image / "etc/hosts").touch()
    with pytest.raises(StartFailed) as failure:
        box.run("true", mounts=[bind(canary, "/etc/hosts")])
    assert "not a directory: unknown: Are you trying to mount a directory onto" in str(
        failure.value
    )


def test_a_source_that_is_not_there_is_told(box: Boxes) -> None:
    with pytest.raises(StartFailed, match="no such file or directory") as failure:
        box.run("true", mounts=[bind("/no/such/source", "/v")])
    assert failure.value.exit_code == 127


# -- SEC-05, SEC-07, SEC-08, SEC-17: the image has links where the runtime works


def test_sec_08_dev_that_leads_out_makes_nothing_outside(box: Boxes, canary: Path) -> None:
    (box.image / "dev").symlink_to(f"/../../../../../..{canary}")
    done = box.run("ls", "/dev")
    assert "null" in done.output


@pytest.mark.parametrize("name", ["proc", "sys"])
def test_sec_07_proc_that_is_a_link_is_refused(box: Boxes, canary: Path, name: str) -> None:
    if (box.image / name).exists():
        (box.image / name).rmdir()
    (box.image / "elsewhere").mkdir()
    (box.image / name).symlink_to("/elsewhere")
    with pytest.raises(StartFailed, match="too many levels of symbolic links"):
        box.run("true")


def test_sec_07_a_volume_over_proc_is_refused(box: Boxes, canary: Path) -> None:
    for place in ("/proc", "/proc/sys", "/proc/self"):
        with pytest.raises(StartFailed, match="cannot be mounted"):
            box.run("true", mounts=[bind(canary, place)])


def test_sec_05_masks_are_made_of_the_hosts_null(box: Boxes) -> None:
    """The image's /dev/null is a link; whatever covers a masked file is no part of the image."""
    (box.image / "dev").mkdir()
    (box.image / "dev/null").symlink_to("/proc/sysrq-trigger")
    done = box.run("sh", "-c", "stat -c '%t,%T' /proc/keys; cat /proc/keys | wc -c")
    assert done.lines == ["1,3", "0"]


def test_sec_05_every_path_that_is_there_has_a_mask_of_its_own(box: Boxes) -> None:
    for name in ("one", "two", "three"):
        (box.image / f"etc/{name}").write_text("secret")
    for name in ("folder", "another"):
        (box.image / f"etc/{name}").mkdir()
        (box.image / f"etc/{name}/file").write_text("secret")
    masked = ["one", "folder", "none", "two", "another", "one/none", "three"]
    done = box.run(
        "sh", "-c", "cd /etc; stat -c '%t,%T' one two three; cat one two three; "
        "ls -A folder another; touch folder/x 2>/dev/null; echo $?; grep -c ' /etc/' /proc/mounts",
        linux={"masked_paths": [f"/etc/{name}" for name in masked]},
    )  # fmt: skip
    assert done.lines == ["1,3", "1,3", "1,3", "another:", "", "folder:", "1", "5"]


@pytest.mark.parametrize("name", ["hosts", "hostname", "resolv.conf"])
def test_sec_17_files_of_the_engine_do_not_follow_links_out(
    box: Boxes, canary: Path, tmp_path: Path, name: str
) -> None:
    (box.image / f"etc/{name}").symlink_to(canary / "file")
    given = tmp_path / name
    given.write_text("given\n")
    done = box.run("cat", f"/etc/{name}", mounts=[bind(given, f"/etc/{name}")])
    assert done.output == "given\n"


def test_sec_17_shared_memory_that_leads_out_does_not(box: Boxes, canary: Path) -> None:
    (box.image / "dev").mkdir()
    (box.image / "dev/shm").symlink_to(canary)
    done = box.run("sh", "-c", "touch /dev/shm/x; echo $?")
    assert done.output == "0\n"


@pytest.mark.parametrize("starts", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_sec_09_mount_points_that_a_neighbour_swaps_stay_inside(
    box: Boxes, canary: Path, starts: int
) -> None:
    """Another container swaps a folder and a link out, as fast as it can, while we mount there."""
    shared = box.folder / "shared"
    (shared / "a/b").mkdir(parents=True)
    (shared / "link").symlink_to(f"/../../../../../..{canary.parent}")
    (canary.parent / "b").mkdir()
    swapper = os.fork()
    if swapper == 0:
        swap_forever(shared)
    try:
        worked = 0
        for _ in range(starts):
            with contextlib.suppress(StartFailed):
                box.run("true", mounts=[bind(shared, "/s"), bind(canary, "/s/a/b/new")])
                worked += 1
    finally:
        os.kill(swapper, 9)
        os.waitpid(swapper, 0)
    assert list((canary.parent / "b").iterdir()) == []
    print(f"{worked} of {starts} starts found the folder there")


def swap_forever(shared: Path) -> None:
    from boxship.kernel.syscalls import AT_FDCWD, raw

    renameat2, exchange = (316 if os.uname().machine == "x86_64" else 276), 2
    one, two = os.fsencode(shared / "a"), os.fsencode(shared / "link")
    with contextlib.suppress(BaseException):
        while True:
            raw(renameat2, AT_FDCWD, one, AT_FDCWD, two, exchange)
    os._exit(0)


# -- what is in /dev and /proc


def test_sec_16_masked_and_readonly_paths_hold(box: Boxes) -> None:
    done = box.run(
        "sh", "-c",
        "cat /proc/keys /proc/timer_list; ls /proc/acpi /proc/scsi /sys/firmware 2>/dev/null;"
        "for f in /proc/sys/kernel/hostname /proc/sys/net/ipv4/ip_forward; do echo x > $f; done;"
        "umount /proc/keys; umount /proc/sys",
    )  # fmt: skip
    shown = [line for line in done.lines if ":" not in line and line.strip()]
    assert shown == []
    assert done.output.count("Read-only file system") == 2
    assert done.output.count("Operation not permitted") == 2


def test_the_usual_devices_and_links_are_there(box: Boxes) -> None:
    done = box.run(
        "sh", "-c", "cd /dev; ls; readlink fd; readlink ptmx; stat -c '%a %t,%T' null tty"
    )
    assert done.lines == [
        "core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
        "stdout", "tty", "urandom", "zero", "/proc/self/fd", "pts/ptmx", "666 1,3", "666 5,0",
    ]  # fmt: skip


def test_a_device_asked_for_has_its_owner_and_mode(box: Boxes) -> None:
    device = oci.Device(type="c", path="/dev/deep/er/mine", major=1, minor=5, file_mode=0o640,
                        uid=3, gid=4)  # fmt: skip
    done = box.run("stat", "-c", "%a %u %g %t,%T", "/dev/deep/er/mine", linux={"devices": [device]})
    assert done.output == "640 3 4 1,5\n"


def test_a_dev_of_the_users_own_is_left_alone(box: Boxes, canary: Path) -> None:
    done = box.run("ls", "/dev", mounts=[bind(canary, "/dev")])
    assert "file" in done.output


def test_sec_06_the_console_is_the_real_terminal(box: Boxes) -> None:
    (box.image / "dev").mkdir()
    (box.image / "dev/console").symlink_to("/etc/passwd")
    done = box.run("sh", "-c", "tty; stat -c %t,%T /dev/console /dev/pts/0; test -t 0; echo $?",
                   process={"terminal": True})  # fmt: skip
    assert done.lines == ["/dev/pts/0", "88,0", "88,0", "0"]


def test_settings_names_and_limits_are_set(box: Boxes) -> None:
    before = Path("/proc/self/oom_score_adj").read_text()
    done = box.run(
        "sh", "-c",
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; hostname; umask;"
        "grep 'open files' /proc/self/limits; cat /proc/self/oom_score_adj",
        hostname="named",
        domainname="example.test",
        linux={"sysctl": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096"}},
        process={
            "rlimits": [oci.Rlimit(type="RLIMIT_NOFILE", soft=100, hard=200)],
            "oom_score_adj": 250,
            "user": oci.User(uid=0, gid=0, umask=0o77),
        },
    )  # fmt: skip
    assert done.lines[:4] == ["1", "4096", "named", "0077"]
    assert done.lines[4].split()[3:5] == ["100", "200"]
    assert done.lines[5] == "250"
    assert Path("/proc/self/oom_score_adj").read_text() == before


def test_a_readonly_root_takes_no_writes_but_its_mounts_do(box: Boxes) -> None:
    done = box.run("sh", "-c", "touch /x; touch /dev/shm/x && echo yes",
                   root=oci.Root(path="rootfs", readonly=True))  # fmt: skip
    assert "Read-only file system" in done.output
    assert done.lines[-1] == "yes"


def test_a_missing_working_folder_is_made(box: Boxes) -> None:
    assert box.run("pwd", process={"cwd": "/made/for/this"}).output == "/made/for/this\n"


@pytest.mark.parametrize("number", range(3, 24))
def test_sec_02_a_working_folder_by_descriptor_stays_inside(box: Boxes, number: int) -> None:
    with contextlib.suppress(StartFailed):
        done = box.run("sh", "-c", "pwd; ls", process={"cwd": f"/proc/self/fd/{number}"})
        assert "boot" not in done.output


def test_sec_02_the_program_has_its_three_descriptors_only(box: Boxes) -> None:
    done = box.run("ls", "/proc/1/fd")
    assert done.output.split()[:3] == ["0", "1", "2"]
    assert len(done.output.split()) <= 4  # ls itself opens the folder
