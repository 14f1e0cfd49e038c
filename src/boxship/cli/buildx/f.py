"""Build what a file says: the short name of bake."""

from __future__ import annotations

from boxship.cli.buildx.bake import COMMAND, run

__all__ = ["COMMAND", "run"]
