"""What is kept of containers: one row each, with the whole record as JSON.

Rows are written without waiting for the disk: a container that a power cut undoes is an
orphan folder, which the next start of the daemon removes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from boxship.container.record import Container, decode, encode
from boxship.store.database import Database

MIGRATIONS: Final[Sequence[str]] = (
    "CREATE TABLE container (id TEXT PRIMARY KEY, record BLOB NOT NULL) STRICT",
)
PUT: Final = "INSERT OR REPLACE INTO container VALUES (?, ?)"
DROP: Final = "DELETE FROM container WHERE id = ?"
ALL: Final = "SELECT record FROM container"


class Table:
    """The containers' rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("container", MIGRATIONS)

    def put(self, container: Container) -> None:
        """Write a record, new or changed."""
        with self._database.write(durable=False) as tx:
            tx.run(PUT, container.id, encode(container))

    def drop(self, identifier: str) -> None:
        """Forget a record."""
        with self._database.write(durable=False, frees=True) as tx:
            tx.run(DROP, identifier)

    def all(self) -> Iterator[Container]:
        """Yield every record."""
        for (record,) in self._database.rows(ALL):
            yield decode(record)
