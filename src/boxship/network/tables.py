"""What networks keep in the database."""

from __future__ import annotations

from typing import Final

import msgspec

from boxship.model.ids import NetworkId
from boxship.network.record import Network
from boxship.store.database import Database

MIGRATIONS: Final = ("CREATE TABLE networks (id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT",)
PACKAGE: Final = "network"


class Table:
    """The networks, as rows of JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(PACKAGE, MIGRATIONS)

    def all(self) -> dict[NetworkId, Network]:
        """Return every network kept."""
        rows = self._database.rows("SELECT record FROM networks")
        found = [msgspec.json.decode(row[0], type=Network) for row in rows]
        return {network.id: network for network in found}

    def put(self, network: Network) -> None:
        """Keep a network; a power cut may undo it, the death of the daemon does not."""
        with self._database.write(durable=False) as tx:
            encoded = msgspec.json.encode(network)
            tx.run("INSERT OR REPLACE INTO networks VALUES (?, ?)", network.id, encoded)

    def delete(self, network: NetworkId) -> None:
        """Keep a network no more."""
        with self._database.write(durable=False, frees=True) as tx:
            tx.run("DELETE FROM networks WHERE id = ?", network)
