"""Whose turn it is while files go into a container that does not run."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from boxship.container import spool
from boxship.container.archive import Archives, Way, Wishes
from boxship.container.lifecycle import State
from boxship.container.roots import View
from boxship.container.turn import Turn


class Cell:
    """A stopped container, as far as archives look at it."""

    id = "c" * 64
    shim = None
    state = State.EXITED

    def __init__(self) -> None:
        self.turn = Turn()
        self.record = self

    host_config: Any = None
    config: Any = None


class Containers:
    def __init__(self, cell: Cell, folder: Path) -> None:
        self.cell, self._folder = cell, folder

    def find(self, ref: str) -> Cell:
        return self.cell

    def folder(self, identifier: str) -> str:
        return str(self._folder)

    def announce(self, cell: Cell, what: str) -> None:
        """Nobody listens."""


class Roots:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, identifier: str, undo: ExitStack) -> int:
        root = os.open(self._folder, os.O_PATH)
        undo.callback(os.close, root)
        return root


class SlowRoots(Roots):
    """A disk that takes its time to open a root."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.begun, self.go_on, self.opened = (threading.Event() for _ in range(3))

    def take(self, identifier: str, undo: ExitStack) -> int:
        self.begun.set()
        assert self.go_on.wait(60)
        root = super().take(identifier, undo)
        self.opened.set()
        return root


class Trees:
    snapshots = volumes = None


class Here(Archives):
    """Archives of a folder instead of a container's mounts."""

    def _whole(self) -> Way:
        return Way(cast(Any, None), lambda _record, root, _undo: View(root))


def pieces(go_on: threading.Event) -> Iterator[bytes]:
    """Yield an archive, the second half when that is allowed."""
    with io.BytesIO() as buffer:
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name in ("first", "second"):
                entry = tarfile.TarInfo(name)
                entry.size = 5000
                archive.addfile(entry, io.BytesIO(bytes(5000)))
        data = buffer.getvalue()
    yield data[:6000]
    assert go_on.wait(60)
    yield data[6000:]


@pytest.mark.parametrize("most", [1 << 20, 5000])
def test_a_slow_client_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(spool, "MOST", most)
    root = tmp_path / "root"
    root.mkdir()
    cell, go_on = Cell(), threading.Event()
    containers = cast(Any, Containers(cell, tmp_path))

    archives = Here(containers, cast(Any, Trees), cast(Any, Roots(root)))

    async def story() -> None:
        put = asyncio.ensure_future(archives.put("c", "/", pieces(go_on), Wishes()))
        while most == 5000 and not (root / "first").exists():
            await asyncio.sleep(0.01)
            assert not put.done()
        async with cell.turn.take("start", "c", within=30):
            assert not put.done()
        go_on.set()
        await put

    asyncio.run(asyncio.wait_for(story(), 90))
    assert (root / "second").stat().st_size == 5000


def test_what_has_come_whole_goes_in_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else changes the container while an archive that is there is unpacked."""
    root = tmp_path / "root"
    root.mkdir()
    cell, go_on = Cell(), threading.Event()
    go_on.set()
    seen: list[str] = []
    containers = cast(Any, Containers(cell, tmp_path))

    archives = Here(containers, cast(Any, Trees), cast(Any, Roots(root)))
    monkeypatch.setattr(
        "boxship.container.archive._check_writable", lambda *_: seen.append(cell.turn.verb)
    )
    asyncio.run(archives.put("c", "/", pieces(go_on), Wishes()))
    assert seen == ["open the files of"]
    assert not cell.turn.verb


@pytest.mark.parametrize("way", ["look", "get", "export"])
def test_nobody_starts_a_container_whose_root_is_being_opened_for_who_has_gone(
    tmp_path: Path, way: str
) -> None:
    """A start would mount the writable folder a second time."""
    root = tmp_path / "root"
    (root / "kept").mkdir(parents=True)
    cell, opening = Cell(), SlowRoots(root)
    containers = cast(Any, Containers(cell, tmp_path))
    archives = Here(containers, cast(Any, Trees), cast(Any, opening))

    async def story() -> None:
        asked = {
            "look": lambda: archives.look("c", "/kept"),
            "get": lambda: archives.get("c", "/kept"),
            "export": lambda: archives.export("c"),
        }[way]()
        copying = asyncio.ensure_future(asked)
        assert await asyncio.to_thread(opening.begun.wait, 60)
        copying.cancel()
        starting = asyncio.ensure_future(take_turn())
        for _ in range(20):
            await asyncio.sleep(0)
        assert not starting.done()
        opening.go_on.set()
        assert await starting
        await asyncio.wait([copying])
        assert copying.cancelled()

    async def take_turn() -> bool:
        async with cell.turn.take("start", "c", within=60):
            return opening.opened.is_set()

    asyncio.run(asyncio.wait_for(story(), 90))
    assert not cell.turn.verb
