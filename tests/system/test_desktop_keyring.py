"""Our credential helper with a real desktop keyring, on a session bus of the test's own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.engine import PATIENCE

SOURCE = Path(__file__).resolve().parents[2] / "src"
NEEDED = [p for p in ("dbus-run-session", "gnome-keyring-daemon") if shutil.which(p) is None]
NEEDED += ["the keyring library"] if importlib.util.find_spec("keyring") is None else []
pytestmark = pytest.mark.skipif(bool(NEEDED), reason=f"not installed: {', '.join(NEEDED)}")
SECRET = "not in any file"
UNLOCKED = "printf pw | gnome-keyring-daemon --unlock --components=secrets >&2\n"
LOCKED = "gnome-keyring-daemon --start --components=secrets >&2\n"


@pytest.fixture
def home() -> Iterator[Path]:
    """A home of its own; the name of a socket in it must be short."""
    with tempfile.TemporaryDirectory(prefix="bxk") as folder:
        (Path(folder) / "run").mkdir(mode=0o700)
        yield Path(folder)


def session(home: Path, script: str) -> list[str]:
    """Run a script on a new session bus; `helper ACTION TEXT` calls ours. Return its lines."""
    helper = f"{sys.executable} -m boxship.distribution.credentials.program"
    functions = f'helper() {{ printf %s "$2" | {helper} "$1"; }}\n'
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_DATA_HOME": f"{home}/data",
        "XDG_RUNTIME_DIR": f"{home}/run",
        "PYTHONPATH": str(SOURCE),
    }
    if "LD_LIBRARY_PATH" in os.environ:
        environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
    done = subprocess.run(
        ["dbus-run-session", "--", "sh", "-c", functions + script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
        check=False,
    )
    return done.stdout.splitlines()


STORED = json.dumps({"ServerURL": "h:5000", "Username": "joe", "Secret": SECRET})
STORE = f"helper store '{STORED}'; helper status\n"


def test_the_key_is_kept_by_the_desktop(home: Path) -> None:
    told = session(home, UNLOCKED + STORE + "helper get h:5000; helper erase h:5000; helper list")
    assert told[0].endswith("1 kept; the key is kept by: desktop")
    assert json.loads(told[1])["Secret"] == SECRET
    assert told[2:] == ["{}"]


def test_another_session_finds_it_and_a_locked_one_is_told(home: Path) -> None:
    session(home, UNLOCKED + STORE)
    (told,) = session(home, UNLOCKED + "helper get h:5000")
    assert json.loads(told)["Secret"] == SECRET
    (refused,) = session(home, LOCKED + "helper get h:5000")
    assert refused.startswith("the desktop's keyring does not answer")
    files = [path.read_bytes() for path in (home / "data").rglob("*") if path.is_file()]
    assert files
    assert not any(SECRET.encode() in data for data in files)


@pytest.mark.parametrize("daemon", ["", LOCKED])
def test_where_the_desktop_keeps_nothing_another_place_is_taken(home: Path, daemon: str) -> None:
    (told,) = session(home, "export BOXSHIP_PASSPHRASE=test\n" + daemon + STORE)
    assert "1 kept" in told
    assert "desktop" not in told
