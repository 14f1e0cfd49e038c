"""Keys in the kernel's own keyrings."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxship.kernel import keys

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture
def name() -> Iterator[str]:
    name = f"boxship-test:{os.getpid()}"
    try:
        keys.write(name, b"probe")
    except OSError as error:
        pytest.skip(f"this kernel keeps no keys: {error}")
    keys.forget(name)
    yield name
    keys.forget(name)


def test_a_key_is_kept_replaced_and_forgotten(name: str) -> None:
    assert keys.read(name) is None
    keys.write(name, b"one\0two")
    assert keys.read(name) == b"one\0two"
    keys.write(name, b"three")
    assert keys.read(name) == b"three"
    keys.forget(name)
    assert keys.read(name) is None
    keys.forget(name)


def test_another_process_of_the_user_finds_it(name: str) -> None:
    keys.write(name, b"kept")
    program = f"from boxship.kernel import keys; print(keys.read({name!r}))"
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    assert said.stdout == "b'kept'\n"


@pytest.mark.root
def test_another_user_does_not_find_it(name: str) -> None:
    keys.write(name, b"kept")
    program = (
        f"import os; os.setuid(65534)\nfrom boxship.kernel import keys\nprint(keys.read({name!r}))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "kept" not in said.stdout


def test_a_key_may_have_an_end(name: str) -> None:
    keys.write(name, b"short", seconds=3600)
    with open("/proc/keys", encoding="utf-8") as file:
        ends = {line.split()[3] for line in file if name in line}
    assert ends & {"59m", "60m", "1h"}


STORY = """
import ctypes, sys
from boxship.kernel import keys
assert ctypes.CDLL(None, use_errno=True).syscall(250, 1, None) > 0  # KEYCTL_JOIN_SESSION_KEYRING
keys.write(sys.argv[1], b"kept")
assert keys.read(sys.argv[1]) == b"kept"
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of keyctl(2) is x86-64's")
def test_a_session_without_the_users_keyring_will_do(name: str) -> None:
    """As services of systemd's have it, and logins without pam_keyinit."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", STORY, name], env=environment, check=True)
    assert keys.read(name) == b"kept"
