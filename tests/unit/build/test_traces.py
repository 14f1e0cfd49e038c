"""What is seen of builds that a killed daemon was at."""

from __future__ import annotations

from pathlib import Path

from boxship.build import traces


def test_a_builder_that_ended_well_has_left_nothing(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    assert not traces.left(["c0ffee"], (), str(data), str(run))
    (data / traces.CONTEXTS).mkdir(parents=True)
    (run / traces.PLACE).mkdir(parents=True)
    (data / traces.FOLDERS / "kept").mkdir(parents=True)
    assert not traces.left([], {"kept"}, str(data), str(run))


def test_snapshots_contexts_and_processes_are_traces(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    assert traces.left([f"{traces.SNAPSHOTS}1"], (), str(data), str(run))
    (data / traces.CONTEXTS / "one").mkdir(parents=True)
    assert traces.left([], (), str(data), str(run))
    (run / "b1").mkdir(parents=True)
    assert traces.left([], (), str(tmp_path / "other"), str(run))


def test_a_folder_that_nobody_has_recorded_is_a_trace(tmp_path: Path) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    (data / traces.FOLDERS / "half").mkdir(parents=True)
    assert traces.left([], {"other"}, str(data), str(run))
