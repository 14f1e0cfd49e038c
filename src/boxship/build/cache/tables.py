"""The build cache in the database: which results there are, and under what keys."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE build_layers (
        chain TEXT PRIMARY KEY,
        parent TEXT,
        description TEXT NOT NULL,
        created INT NOT NULL,       -- nanoseconds, as `used`
        used INT NOT NULL,
        uses INT NOT NULL,
        size INT NOT NULL,
        diff_id TEXT
    ) STRICT;
    CREATE TABLE build_results (
        identity TEXT NOT NULL,     -- what a vertex does and on what
        output INT NOT NULL,
        chain TEXT,                 -- none for the empty filesystem
        PRIMARY KEY (identity, output)
    ) STRICT;
    CREATE TABLE build_keys (
        key TEXT PRIMARY KEY,       -- of the definition alone
        identity TEXT NOT NULL      -- of the content it was about
    ) STRICT;
    CREATE TABLE build_folders (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        description TEXT NOT NULL,
        created INT NOT NULL,
        used INT NOT NULL,
        uses INT NOT NULL,
        size INT NOT NULL,
        note TEXT NOT NULL
    ) STRICT
    """,
)
LAYERS: Final = (
    "SELECT chain, parent, description, created, used, uses, size, diff_id FROM build_layers"
)
PUT_LAYER: Final = "INSERT OR REPLACE INTO build_layers VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
DROP_LAYER: Final = "DELETE FROM build_layers WHERE chain = ?"
RESULTS: Final = "SELECT identity, output, chain FROM build_results"
PUT_RESULT: Final = "INSERT OR REPLACE INTO build_results VALUES (?, ?, ?)"
MOVE_RESULTS: Final = "UPDATE build_results SET chain = ? WHERE chain = ?"
DROP_RESULT: Final = "DELETE FROM build_results WHERE identity = ?"
KEYS: Final = "SELECT key, identity FROM build_keys"
PUT_KEY: Final = "INSERT OR REPLACE INTO build_keys VALUES (?, ?)"
DROP_KEYS: Final = "DELETE FROM build_keys WHERE identity = ?"
FOLDERS: Final = (
    "SELECT id, kind, key, description, created, used, uses, size, note FROM build_folders"
)
PUT_FOLDER: Final = "INSERT OR REPLACE INTO build_folders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
DROP_FOLDER: Final = "DELETE FROM build_folders WHERE id = ?"
