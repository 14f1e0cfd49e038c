"""Mounts that no path leads to safely: parts of volumes, images and parts of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engine import PATIENCE, Engine

IMAGE = "busybox:latest"
RUNTIMES = [
    "native",
    pytest.param(
        "runc", marks=pytest.mark.skipif(not shutil.which("runc"), reason="runc is not installed")
    ),
]


@pytest.fixture
def volume(engine: Engine, name: str) -> Iterator[str]:
    engine.docker("volume", "create", f"v-{name}")
    script = "mkdir -p /v/a/b; echo inside > /v/a/b/file; echo only > /v/file; ln -s / /v/out"
    engine.docker("run", "--rm", "-v", f"v-{name}:/v", IMAGE, "sh", "-c", script)
    yield f"v-{name}"
    engine.docker("volume", "rm", f"v-{name}")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_part_of_a_volume_is_all_that_is_shown(engine: Engine, volume: str, runtime: str) -> None:
    mount = f"type=volume,src={volume},dst=/m,volume-subpath=a/b"
    run = ("run", "--rm", "--runtime", runtime, "--mount")
    shown = engine.docker(*run, mount, IMAGE, "sh", "-c", "ls /m; cat /m/file; touch /m/new")
    assert shown.stdout == "file\ninside\n"
    one = f"type=volume,src={volume},dst=/one,volume-subpath=file,readonly"
    script = "cat /one; echo x > /one || echo refused"
    shown = engine.docker(*run, one, IMAGE, "sh", "-c", script)
    assert shown.stdout == "only\nrefused\n"
    where = json.loads(engine.docker("volume", "inspect", volume).stdout)[0]["Mountpoint"]
    assert (Path(where) / "a/b/new").exists()


@pytest.mark.parametrize("way", ["run", "cp"])
def test_a_part_does_not_lead_out_of_its_volume(engine: Engine, volume: str, way: str) -> None:
    for subpath in ("out", "out/etc", "absent"):
        mount = f"type=volume,src={volume},dst=/m,volume-subpath={subpath}"
        made = engine.docker("create", "--mount", mount, IMAGE, "ls", "/m").stdout.strip()
        words = ("start", made) if way == "run" else ("cp", f"{made}:/m", "-")
        done = engine.docker(*words, check=False)
        assert done.returncode
        assert f"cannot access subpath '{subpath}'" in done.stderr
        engine.docker("rm", made)


def test_a_part_that_is_swapped_all_the_time_shows_nothing_of_the_host(
    engine: Engine, volume: str
) -> None:
    """SEC-35: the folder becomes a link to the host's root between the look and the use."""
    swap = "while :; do mv /v/a /v/z; ln -s / /v/a; rm /v/a; mv /v/z /v/a; done"
    swapper = engine.docker("run", "-d", "-v", f"{volume}:/v", IMAGE, "sh", "-c", swap)
    try:
        seen = set()
        deadline = time.monotonic() + 4 * PATIENCE
        while time.monotonic() < deadline:
            mount = f"type=volume,src={volume},dst=/m,volume-subpath=a"
            done = engine.docker("run", "--rm", "--mount", mount, IMAGE, "ls", "/m", check=False)
            seen.add(done.stdout if not done.returncode else "refused")
        assert seen <= {"b\n", "refused"}
    finally:
        engine.docker("rm", "-f", swapper.stdout.strip())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_image_is_mounted_and_cannot_be_written_to(
    engine: Engine, name: str, runtime: str
) -> None:
    mount = f"type=image,src={IMAGE},dst=/img"
    run = ("run", "--name", name, "--runtime", runtime, "--mount")
    script = "ls /img/bin/busybox; touch /img/x || echo refused"
    assert engine.docker(*run, mount, IMAGE, "sh", "-c", script).stdout == (
        "/img/bin/busybox\nrefused\n"
    )
    (point,) = json.loads(engine.docker("inspect", name).stdout)[0]["Mounts"]
    assert (point["Type"], point["Name"], point["RW"]) == ("image", IMAGE, False)
    listing = subprocess.run(
        ["tar", "t"], input=engine.docker("cp", f"{name}:/img/etc", "-").stdout,
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "etc/passwd" in listing
    engine.docker("rm", name)
    part = f"{mount},image-subpath=etc"
    run = ("run", "--rm", "--runtime", runtime, "--mount")
    assert "passwd" in engine.docker(*run, part, IMAGE, "ls", "/img").stdout
    one = f"{mount},image-subpath=etc/passwd"
    assert "root" in engine.docker(*run, one, IMAGE, "cat", "/img").stdout


def test_an_image_that_is_not_there_is_not_mounted(engine: Engine) -> None:
    mount = "type=image,src=no-such-image:1,dst=/img"
    done = engine.docker("create", "--mount", mount, IMAGE, "true", check=False)
    assert "No such image: no-such-image:1" in done.stderr
    absent = f"type=image,src={IMAGE},dst=/img,image-subpath=no/such"
    done = engine.docker("run", "--rm", "--mount", absent, IMAGE, "true", check=False)
    assert "cannot access subpath 'no/such' of image" in done.stderr


def test_an_image_that_is_mounted_stays(engine: Engine, name: str) -> None:
    other = f"mounted-{name}:1"
    engine.docker("run", "--name", name, IMAGE, "touch", "/own")
    engine.docker("commit", name, other)
    engine.docker("rm", name)
    mount = f"type=image,src={other},dst=/img"
    engine.docker("run", "-d", "--name", name, "--mount", mount, IMAGE, "sleep", "60")
    refused = engine.docker("rmi", "-f", other, check=False)
    engine.docker("exec", name, "ls", "/img/own")
    engine.docker("rm", "-f", name)
    engine.docker("rmi", other, check=bool(refused.returncode))


def test_copying_leaves_no_volume_mounted_on_the_host(engine: Engine, name: str) -> None:
    """A volume with a filesystem of its own was unmounted in the copying thread's namespace."""
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs")
    engine.docker("volume", "create", *options, f"t-{name}")
    engine.docker("create", "--name", name, "-v", f"t-{name}:/t", IMAGE, "true")
    engine.docker("cp", f"{name}:/etc/passwd", "-")
    where = json.loads(engine.docker("volume", "inspect", f"t-{name}").stdout)[0]["Mountpoint"]
    deadline = time.monotonic() + 30 * PATIENCE
    while where in Path("/proc/self/mountinfo").read_text() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert where not in Path("/proc/self/mountinfo").read_text()
    engine.docker("rm", name)
    engine.docker("volume", "rm", f"t-{name}")
