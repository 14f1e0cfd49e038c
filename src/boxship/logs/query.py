"""What a caller wants to read of a log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """The parameters of `GET /containers/{id}/logs`, parsed.

    `since` and `until` in nanoseconds since 1970, 0 for no limit. `tail` counts records of both
    streams, before the other conditions apply, as Docker does. Output of a terminal is one stream
    without frames: `multiplex` is off for it.
    """

    stdout: bool = True
    stderr: bool = True
    since: int = 0
    until: int = 0
    tail: int | None = None
    timestamps: bool = False
    details: bool = False
    multiplex: bool = True

    @property
    def chooses_lines(self) -> bool:
        """Whether it takes more to know what to give than which stream a line is of."""
        return bool(self.since or self.until or self.details)
