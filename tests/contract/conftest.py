"""What several contracts need."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxship.snapshot.snapshots import Snapshots


@pytest.fixture(params=["overlay2", "vfs"])
def snapshots(request: pytest.FixtureRequest, tmp_path: Path) -> Snapshots:
    return Snapshots.at(str(tmp_path / "snapshots"), request.param)
