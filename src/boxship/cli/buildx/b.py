"""Build an image from a Dockerfile: the short name of build."""

from __future__ import annotations

from boxship.cli.build import COMMAND, run

__all__ = ["COMMAND", "run"]
