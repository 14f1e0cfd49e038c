"""The engine finds what is damaged and mends it, asked by the command."""

from __future__ import annotations

from pathlib import Path

from tests.support.engine import Engine


def test_damage_is_found_and_mended(own_engine: Engine) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    assert own_engine.boxship("system", "check", "--verify").stdout == "clean\n"
    (program,) = Path(own_engine.root).glob("data/snapshots/*/layers/*/diff/bin/busybox")
    program.write_bytes(b"not a program")
    found = own_engine.boxship("system", "check", "--verify", check=False)
    assert found.returncode == 1
    assert "/bin/busybox" in found.stdout
    mended = own_engine.boxship("system", "check", "--repair")
    assert "has been unpacked again" in mended.stdout
    assert mended.stdout.endswith("clean\n")
    assert own_engine.docker("run", "--rm", "busybox", "echo", "well").stdout == "well\n"


def test_a_filesystem_that_a_power_cut_has_damaged_begins_anew(own_engine: Engine) -> None:
    own_engine.boxship("image", "bootstrap", "busybox")
    made = own_engine.docker("create", "--name", "young", "busybox", "echo", "well").stdout.strip()
    own_engine.stop()
    (file,) = Path(own_engine.root).glob(f"data/snapshots/*/active/{made}/layer.json")
    file.write_bytes(b"")
    own_engine.start()
    assert own_engine.docker("start", "-a", "young").stdout == "well\n"
    assert own_engine.boxship("system", "check").stdout == "clean\n"
