"""The programs of a checkout: links in bin/ that need no installation and no search path."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest
from tests.support.engine import CHECKOUT, PATIENCE

PATH = {"PATH": "/usr/bin:/bin"}
METADATA = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
PROGRAMS = sorted(METADATA["project"]["scripts"])


def test_every_program_that_is_installed_is_in_the_checkout() -> None:
    assert sorted(path.name for path in (CHECKOUT / "bin").iterdir()) == PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_runs_from_anywhere_and_through_links(name: str, tmp_path: Path) -> None:
    outside = tmp_path / "installed" / name
    outside.parent.mkdir()
    outside.symlink_to(CHECKOUT / "bin" / name)
    for command in (CHECKOUT / "bin" / name, outside):
        done = subprocess.run(
            [command, "--version"], env=PATH, cwd=tmp_path, capture_output=True, text=True,
            timeout=30 * PATIENCE, check=True,
        )  # fmt: skip
        assert "0.1.0" in done.stdout
        assert done.stderr == ""


def test_a_program_has_the_name_of_its_entry_point() -> None:
    """What `bin/` starts is what an installation starts."""
    script = (CHECKOUT / "packaging/setup/program").read_text()
    for name, entry in METADATA["project"]["scripts"].items():
        if name != "boxship":
            assert f"    {name}) module={entry.removesuffix(':main')} ;;\n" in script


def test_the_helper_of_a_checkout_keeps_and_gives_back(tmp_path: Path) -> None:
    environment = {
        **PATH,
        "HOME": str(tmp_path),
        "BOXSHIP_CREDENTIALS_KEY": "passphrase",
        "BOXSHIP_CREDENTIALS_REMEMBER": "0",
        "BOXSHIP_PASSPHRASE": "test",
    }
    secret = {"ServerURL": "one.test", "Username": "joe", "Secret": "it's"}

    def call(action: str, text: str) -> str:
        return subprocess.run(
            [CHECKOUT / "bin/docker-credential-boxship", action],
            input=text, env=environment, capture_output=True, text=True,
            timeout=30 * PATIENCE, check=True,
        ).stdout  # fmt: skip

    call("store", json.dumps(secret))
    assert json.loads(call("get", "one.test\n")) == secret
