"""URLs as they are shown to people."""

from __future__ import annotations

import re
from typing import Final

LOGIN: Final = re.compile(r"(?<=://)[^/@\s]+@")
LOGIN_IN_BYTES: Final = re.compile(LOGIN.pattern.encode())


def without_login(text: str) -> str:
    """Return text without what stands before the host in its URLs: who logs in, and how."""
    return LOGIN.sub("", text)


def without_logins(data: bytes) -> bytes:
    """Return a file's bytes without the same; its lines stay where they are."""
    return LOGIN_IN_BYTES.sub(b"", data)
