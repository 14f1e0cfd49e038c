"""What volumes keep in the database."""

from __future__ import annotations

from typing import Final

import msgspec

from boxship.store.database import Database
from boxship.volume.record import Volume

MIGRATIONS: Final = ("CREATE TABLE volumes (name TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT",)
PACKAGE: Final = "volume"


class Table:
    """The volumes, as rows of JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(PACKAGE, MIGRATIONS)

    def all(self) -> dict[str, Volume]:
        """Return every volume kept."""
        rows = self._database.rows("SELECT record FROM volumes")
        found = [msgspec.json.decode(row[0], type=Volume) for row in rows]
        return {volume.name: volume for volume in found}

    def put(self, volume: Volume) -> None:
        """Keep a volume. An anonymous one need not outlast a power cut that its container
        may not outlast either.
        """
        with self._database.write(durable=not volume.anonymous) as tx:
            encoded = msgspec.json.encode(volume)
            tx.run("INSERT OR REPLACE INTO volumes VALUES (?, ?)", volume.name, encoded)

    def delete(self, name: str) -> None:
        """Keep a volume no more."""
        with self._database.write(durable=False, frees=True) as tx:
            tx.run("DELETE FROM volumes WHERE name = ?", name)
