"""Remove build cache."""

from __future__ import annotations

from boxship.cli.buildx.prune import COMMAND, run

__all__ = ["COMMAND", "run"]
