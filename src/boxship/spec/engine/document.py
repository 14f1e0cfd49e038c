"""What every Engine API document has in common."""

from __future__ import annotations

from msgspec import Struct


class Document(Struct, kw_only=True, omit_defaults=True):
    """A JSON object of the Engine API; unknown members are ignored when it is read."""
