"""`buildx bake --print` against docker buildx 0.13.1: its recorded answers, and its own where it
is installed. `RECORD=1 pytest` with the real one writes the record anew."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.bake_cases import CASES, NEWER, OTHER_WORDS, Case
from tests.support.engine import link_plugins

from boxship.cli import main
from boxship.cli.baking import files

RECORD = Path(__file__).parents[2] / "golden/bake/print.json"
Answer = dict[str, Any]


def answer(status: int, out: str, err: str) -> Answer:
    """Return what a client has said: a document, or the last line of why there is none."""
    if status:
        return {"error": err.strip().splitlines()[-1]}
    document = json.loads(out)
    for group in document.get("group", {}).values():
        group["targets"].sort()  # 0.13 leaves some in no order
    return document  # type: ignore[no-any-return]


def lay(case: Case, folder: Path) -> None:
    for name, text in case.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def adapted(name: str, recorded: Answer) -> Answer:
    """Return a recorded answer with what 0.13 does not know."""
    for target, members in NEWER.get(name, {}).items():
        said = recorded["target"].setdefault(target, {})
        for member, value in members.items():
            both = isinstance(value, dict) and member in said
            said[member] = {**said[member], **value} if both else value  # type: ignore[dict-item]
    return recorded


@pytest.mark.parametrize("name", CASES)
def test_a_definition_prints_what_buildx_prints(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    case = CASES[name]
    lay(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(main, "environment", lambda: {"HOME": "/none", **case.environment})
    monkeypatch.setattr(files, "read_input", lambda: case.input)
    status = main.main(["buildx", "bake", "--print", *case.words])
    out, err = (data.decode() for data in capfdbinary.readouterr())
    found, expected = answer(status, out, err), adapted(name, json.loads(RECORD.read_text())[name])
    if name in OTHER_WORDS:
        assert "error" in found
        assert "error" in expected
        return
    assert found == expected


def real(folder: Path) -> Callable[[Case], Answer]:
    """Return what asks the real client."""
    if not link_plugins(folder / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    plugin = str(folder / "config/cli-plugins/docker-buildx")
    said = subprocess.run([plugin, "version"], capture_output=True, text=True, check=True).stdout
    if "0.13.1" not in said:
        pytest.skip(f"what was recorded is 0.13.1's, and this is {said.strip()}")

    def ask(case: Case) -> Answer:
        place = folder / str(len(list(folder.iterdir())))
        place.mkdir()
        lay(case, place)
        done = subprocess.run(
            [plugin, "bake", "--print", *case.words],
            cwd=place,
            env={"PATH": os.environ["PATH"], "HOME": "/none", **case.environment},
            input=case.input,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        return answer(done.returncode, done.stdout, done.stderr)

    return ask


def test_the_record_is_what_buildx_says(tmp_path: Path) -> None:
    ask = real(tmp_path)
    found = {name: ask(case) for name, case in CASES.items()}
    if os.environ.get("RECORD"):
        RECORD.write_text(json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    recorded = json.loads(RECORD.read_text())
    for name in OTHER_WORDS:  # of some it says now this, now that
        found[name] = recorded[name] = {"error": ""} if "error" in found[name] else found[name]
    assert found == recorded
