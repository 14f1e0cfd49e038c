"""What images keep in the database."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = (
    """
    CREATE TABLE images (
        id TEXT PRIMARY KEY,        -- the digest of the manifest or index
        media_type TEXT NOT NULL,
        size INT NOT NULL,
        parent TEXT                 -- the image it was committed from
    ) STRICT;
    CREATE TABLE names (
        name TEXT PRIMARY KEY,      -- canonical, with its tag
        image TEXT NOT NULL REFERENCES images (id),
        tagged_at INT NOT NULL      -- seconds
    ) STRICT
    """,
    """
    CREATE TABLE origins (
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        repository TEXT NOT NULL,   -- canonical: where it was pulled from, or pushed to
        PRIMARY KEY (image, repository)
    ) STRICT
    """,
    """
    CREATE TABLE builds (
        image TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
        ref TEXT NOT NULL,          -- what the build's record is called
        created_at INT NOT NULL,    -- nanoseconds
        PRIMARY KEY (image, ref)
    ) STRICT
    """,
)
ADD: Final = "INSERT INTO images VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
POINT: Final = "INSERT OR REPLACE INTO names VALUES (?, ?, ?)"
UNPOINT: Final = "DELETE FROM names WHERE name = ?"
DELETE: Final = "DELETE FROM images WHERE id = ?"
ALL: Final = "SELECT id, media_type, size, parent FROM images"
NAMES: Final = "SELECT name, image, tagged_at FROM names"
ORIGINATE: Final = "INSERT OR IGNORE INTO origins VALUES (?, ?)"
ORIGINS: Final = "SELECT image, repository FROM origins ORDER BY repository"
BUILT: Final = "INSERT OR REPLACE INTO builds VALUES (?, ?, ?)"
BUILDS: Final = "SELECT image, ref, created_at FROM builds ORDER BY created_at"
BUILT_LONG_AGO: Final = "DELETE FROM builds WHERE image = ? AND created_at < ?"
