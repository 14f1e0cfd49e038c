"""Copies out of indexed files into layers, without an engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from boxship.build.cache.record import Layer
from boxship.build.files import pour
from boxship.build.files.last import LastCopies
from boxship.build.files.perform import FileChanges
from boxship.build.files.tars import Tars
from boxship.build.filesystems import Filesystems, Value
from boxship.build.ops import Action, Files
from boxship.content.store import Blobs
from boxship.snapshot.snapshots import Snapshots

USUAL: dict[str, Any] = {
    "follow_links": True, "contents_only": True, "make_parents": True, "wildcard": True,
}  # fmt: skip


class Held:
    def chain(self, chain: object) -> None:
        """Nothing is collected here."""


@dataclass
class Stores:
    """Where layers and their archives go."""

    root: Path
    snapshots: Snapshots
    tars: Tars
    blobs: Blobs
    changes: FileChanges

    @classmethod
    def at(cls, root: Path, monkeypatch: pytest.MonkeyPatch) -> Stores:
        """Make them below a folder; few files are poured like many."""
        monkeypatch.setattr(pour, "MANY", 0)
        snapshots = Snapshots.at(str(root / "snapshots"))
        if snapshots.driver != "overlay2":
            pytest.skip("needs overlayfs")
        blobs = Blobs(str(root / "blobs"))
        tars = Tars(blobs, LastCopies(str(root / "copies"), snapshots, "this boot"))
        changes = FileChanges(Filesystems(snapshots, lambda: 1), cast(Any, None), tars)
        return cls(root, snapshots, tars, blobs, changes)

    def done(self, actions: tuple[Action, ...], inputs: list[Value], **more: Any) -> Layer:
        """Perform actions; return the last layer that was made."""
        made: list[Layer] = []
        held = cast(Any, Held())
        self.changes.perform(Files(actions), inputs, "a step", held, made, **more)
        return made[-1]
