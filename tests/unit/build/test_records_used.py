"""That something was used is known at once, and written in a moment."""

from __future__ import annotations

from pathlib import Path

from boxship.build.cache.record import Folder, Kind, Layer
from boxship.build.cache.records import Records
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest
from boxship.store.database import Database

CHAIN, GONE = (ChainId(Digest.of(text)) for text in (b"layer", b"gone"))


def opened(root: Path, now: int) -> Records:
    return Records(Database(str(root / "db")), lambda: now)


def test_uses_are_written_by_the_next_flush_and_those_of_what_has_gone_are_not(
    tmp_path: Path,
) -> None:
    records = opened(tmp_path, 7)
    layers = [Layer(one, None, "", 1, 1, 0, 0, None) for one in (CHAIN, GONE)]
    records.put("identity", {0: CHAIN}, layers)
    folders = [Folder(id, Kind.LOCAL, "key", "", 1, 1) for id in ("kept", "dropped")]
    for folder in folders:
        records.put_folder(folder)
    records.used([CHAIN, GONE, None])
    for folder in folders:
        folder.uses += 1
        records.used_folder(folder)
    records.drop([GONE])
    records.drop_folders(["dropped"])
    assert records.layers[CHAIN].uses == 1
    records.flush()
    records.flush()
    records._database.close()
    again = opened(tmp_path, 9)
    assert set(again.layers) == {CHAIN}
    assert (again.layers[CHAIN].used, again.layers[CHAIN].uses) == (7, 1)
    assert {id: folder.uses for id, folder in again.folders.items()} == {"kept": 2}
