"""Images of other machines, and results that are pushed to a registry of our own."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support import certificates
from tests.support.doors import DOORS, MODERN, build
from tests.support.engine import Engine
from tests.support.registry_server import registry_server

CERTIFICATES = Path("/etc/boxship/certs.d")
ARM = (183).to_bytes(2, "little")
MACHINES = Path("/proc/sys/fs/binfmt_misc/qemu-aarch64")
no_interpreter = pytest.mark.skipif(
    MACHINES.exists(), reason="this host runs programs for arm64 by binfmt_misc"
)


@pytest.fixture(scope="module")
def foreign(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context with a program for arm64; images with it: `foreign:as-said`, `foreign:hidden`.

    The second says that it is for this machine.
    """
    folder = tmp_path_factory.mktemp("foreign")
    header = bytearray(Path(shutil.which("true") or sys.executable).read_bytes()[:4096])
    header[18:20] = ARM
    (folder / "sh").write_bytes(header)
    (folder / "sh").chmod(0o755)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY sh /bin/sh\n")
    build(engine, "boxship", "--platform", "linux/arm64", "-t", "foreign:as-said", str(folder))
    build(engine, "boxship", "-t", "foreign:hidden", str(folder))
    return folder


@pytest.mark.docker_cli
@no_interpreter
@pytest.mark.parametrize("door", DOORS)
def test_a_program_of_another_machine_is_told_as_such(
    engine: Engine, foreign: Path, door: str
) -> None:
    text = "FROM foreign:hidden\nRUN echo one\n"
    done = build(engine, door, text=text, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "exec format error: /bin/sh is a program for arm64" in said
    assert "binfmt_misc" in said
    if door == "session":  # that client cannot say for which platform it builds
        return
    text = "FROM --platform=linux/arm64 foreign:as-said\nRUN echo one\n"
    done = build(engine, door, text=text, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "exec format error: a program for linux/arm64 cannot run on" in said


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificates.make_for_registry(tmp_path_factory.mktemp("authority"))


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", MODERN)
def test_a_result_is_pushed_to_our_own_registry(
    engine: Engine, tmp_path: Path, authority: Path, door: str
) -> None:
    """Over TLS with a certificate of its own, to those who log in; and it can be built upon."""
    users = tmp_path / "users"
    subprocess.run(
        [sys.executable, "-c", HTPASSWD, str(users)], check=True, stdin=subprocess.DEVNULL
    )
    tls = {"certificate": f"{authority}/server.crt", "key": f"{authority}/server.key"}
    config = {
        "http": {"tls": tls},
        "auth": {"htpasswd": {"realm": "tests", "path": str(users)}},
    }
    with registry_server(tmp_path, **config) as registry, contextlib.ExitStack() as undo:
        name = f"{registry.host}/pushed"
        text = f"FROM busybox:latest\nRUN echo {door} > /by\n"
        trust(registry.host, authority, undo)
        refused = build(engine, door, "--push", "-t", f"{name}:1", text=text, check=False)
        assert refused.returncode == 1
        assert "401" in refused.stderr
        engine.docker("login", "-u", "me", "--password-stdin", registry.host, input="sesame")
        try:
            outputs = (("--push",), ("-o", f"type=image,name={name}:2,push=true"),
                       ("-o", f"type=registry,name={name}:3"))  # fmt: skip
            for number, words in enumerate(outputs, 1):
                more = ("-t", f"{name}:{number}") if words == ("--push",) else ()
                build(engine, door, *words, *more, text=text)
            for number in (1, 2, 3):
                engine.docker("image", "rm", "-f", f"{name}:{number}", check=False)
                upon = f"FROM {name}:{number}\nRUN cat /by\n"
                done = build(engine, door, "--no-cache", "--pull", text=upon)
                assert f"{door}\n" in done.stderr
        finally:
            engine.docker("logout", registry.host)


HTPASSWD = """
import bcrypt, sys
with open(sys.argv[1], "w") as file:
    file.write("me:" + bcrypt.hashpw(b"sesame", bcrypt.gensalt(4)).decode() + "\\n")
"""


def trust(host: str, authority: Path, undo: contextlib.ExitStack) -> None:
    """Let this machine's engines believe the certificates of an authority, for one registry."""
    place = CERTIFICATES / host
    place.mkdir(parents=True)
    undo.callback(_distrust, place)
    shutil.copy(authority / "ca.crt", place)


def _distrust(place: Path) -> None:
    shutil.rmtree(place)
    with contextlib.suppress(OSError):  # of other registries, or not made by a test
        place.parent.rmdir()
