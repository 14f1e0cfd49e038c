"""The leak ledger: what is known is no leak, what is not is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from boxship.system.check import Check, Known

RUNNING, STOPPED, GONE = "a" * 64, "b" * 64, "c" * 64


class Part:
    def leftovers(self) -> Iterator[str]:
        yield "a link nobody knows"


def check(tmp_path: Path, **more: object) -> Check:
    for folder in ("containers", "keepers", "shm"):
        (tmp_path / folder).mkdir(exist_ok=True)
    return Check(
        known=lambda: Known({RUNNING, STOPPED}, {RUNNING}),
        containers=str(tmp_path / "containers"),
        keepers=str(tmp_path / "keepers"),
        shm=str(tmp_path / "shm"),
        data_root=str(tmp_path / "data"),
        exec_root=str(tmp_path / "run"),
        cgroup_parent="/no-such-parent",
        **more,  # type: ignore[arg-type]
    )


def test_what_is_known_is_no_leak(tmp_path: Path) -> None:
    ledger = check(tmp_path)
    for folder, name in (("containers", STOPPED), ("keepers", RUNNING), ("shm", RUNNING)):
        (tmp_path / folder / name).mkdir()
    assert ledger.run() == []


def test_what_belongs_to_nothing_is_named(tmp_path: Path) -> None:
    ledger = check(tmp_path, parts=[Part()])
    for folder, name in (("containers", GONE), ("keepers", STOPPED), ("shm", STOPPED)):
        (tmp_path / folder / name).mkdir()
    assert ledger.run() == [
        f"container folder {GONE} has no record",
        f"shim folder {STOPPED} has no running container",
        f"shared memory {STOPPED} has no running container",
        "a link nobody knows",
    ]
