"""The metadata database: one SQLite file, one writer, short transactions.

Readers of records do not come here: packages keep their records in memory and write through.
What is announced in a transaction is heard when the transaction is true, and not before.

    boxship.db           the database, with SQLite's -wal beside it; for one process alone
    boxship.db-reserve   room that is given up when a full disk would keep us from freeing some
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

Announce = Callable[[object], None]
RESERVE: Final = 1 << 20  # bytes
PRIMARY: Final = 0xFF  # of an error's code; the rest says where it happened
DISK_FAULTS: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_CANTOPEN: errno.EIO,
    sqlite3.SQLITE_READONLY: errno.EROFS,
}


class Transaction:
    """One change in the making; valid inside its `with` block only."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.announced: list[object] = []
        self.statements: list[tuple[str, tuple[object, ...]]] = []

    def run(self, sql: str, *values: object) -> int:
        """Run one statement; return how many rows it touched."""
        self.statements.append((sql, values))
        return self._connection.execute(sql, values).rowcount

    def rows(self, sql: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query."""
        return self._connection.execute(sql, values).fetchall()

    def announce(self, event: object) -> None:
        """Tell the listeners, once the transaction is committed."""
        self.announced.append(event)


class Database:
    """Metadata, kept in `path`; safe to use from any thread."""

    def __init__(self, path: str, announce: Announce = lambda event: None) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._reserve = path + "-reserve"
        self._reserved = False
        self._turn = threading.RLock()
        self._announce = announce
        self._durable = True
        for pragma in (
            # nobody else reads, and so the index of the log is no file that is mapped: the system
            # ends a process that touches such a page of a disk that is full or fails
            "locking_mode=EXCLUSIVE",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-2000",
            "wal_autocheckpoint=1000",
        ):
            self._connection.execute(f"PRAGMA {pragma}")

    def migrate(self, package: str, steps: Sequence[str]) -> None:
        """Bring one package's tables up to date: each step is SQL, run once, in order."""
        with self.write() as tx:
            tx.run("CREATE TABLE IF NOT EXISTS schema (package TEXT PRIMARY KEY, done INT) STRICT")
            rows = tx.rows("SELECT done FROM schema WHERE package = ?", package)
            done = int(rows[0][0]) if rows else 0
            for step in steps[done:]:
                for statement in filter(str.strip, step.split(";")):
                    tx.run(statement)
            tx.run("INSERT OR REPLACE INTO schema VALUES (?, ?)", package, len(steps))

    @contextmanager
    def write(self, *, durable: bool = True, frees: bool = False) -> Iterator[Transaction]:
        """A change that is wholly made when the block ends, or not at all.

        A durable one has reached the disk when the block ends. One that is not survives the
        death of any process, but a power cut may undo it, together with what came after it.
        What the disk refuses is an OSError. On a full one that is ENOSPC, unless the change
        `frees` room: for that there is a reserve.
        """
        with self._turn, _as_os_error():
            if not frees:
                self._keep_reserve()
            if durable != self._durable:
                self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._durable = durable
            tx = Transaction(self._connection)
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield tx
                self._commit(tx, frees)
            except BaseException:
                if self._connection.in_transaction:
                    with suppress(sqlite3.OperationalError):  # of a disk that failed before
                        self._connection.execute("ROLLBACK")
                raise
            for event in tx.announced:
                self._announce(event)

    def _commit(self, tx: Transaction, frees: bool) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if not (frees and _is_full(error)):
                raise
            with suppress(FileNotFoundError):
                os.unlink(self._reserve)
            self._reserved = False
            if not self._connection.in_transaction:  # SQLite has undone it
                self._connection.execute("BEGIN IMMEDIATE")
                for sql, values in tx.statements:
                    self._connection.execute(sql, values)
            self._connection.execute("COMMIT")

    def _keep_reserve(self) -> None:
        """Have the reserve on the disk, if there is room for it."""
        if self._reserved:
            return
        try:
            file = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(file, 0, RESERVE)
                self._reserved = True
            finally:
                os.close(file)
        except OSError:
            with suppress(OSError):
                os.unlink(self._reserve)

    def rows(self, sql: str, *values: object) -> Sequence[tuple[Any, ...]]:
        """Return the rows of a query that stands alone."""
        with self._turn, _as_os_error():
            return self._connection.execute(sql, values).fetchall()

    def close(self) -> None:
        """Flush and let go of the file."""
        with self._turn:
            self._connection.close()


def _is_full(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode == sqlite3.SQLITE_FULL


@contextmanager
def _as_os_error() -> Iterator[None]:
    """Say what the disk refuses as the system would, not as SQLite does."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = DISK_FAULTS.get(error.sqlite_errorcode & PRIMARY)
        if code is None:
            raise
        raise OSError(code, os.strerror(code)) from error
