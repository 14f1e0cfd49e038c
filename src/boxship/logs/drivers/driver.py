"""What every log driver offers: its options are checked, its log is chosen, and perhaps read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from boxship.logs.formats import Format
from boxship.shim.protocol import LogChoice


class Driver(Protocol):
    name: str

    def validate(self, options: Mapping[str, str]) -> None:
        """Raise InvalidRequest for an option that the driver does not know or cannot use."""

    def path(self, folder: str, container: str) -> str:
        """Return the file in a container's folder, or nothing where there is none."""

    def choose(self, options: Mapping[str, str], path: str, attrs: Mapping[str, str]) -> LogChoice:
        """Say what the shim shall keep; the options have been validated."""

    def format(self) -> Format | None:
        """Return how its files are read; None where they cannot be."""
