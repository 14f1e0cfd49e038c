"""What this program calls itself, and which version it is."""

from __future__ import annotations

from typing import Final

NAME: Final = "Boxship"
VERSION: Final = "0.1.0"
