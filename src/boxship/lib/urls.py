"""URLs as they are shown to people."""

from __future__ import annotations

import re
from typing import Final

LOGIN: Final = re.compile(r"(?<=://)[^/@\s]+@")


def without_login(text: str) -> str:
    """Return text without what stands before the host in its URLs: who logs in, and how."""
    return LOGIN.sub("", text)
