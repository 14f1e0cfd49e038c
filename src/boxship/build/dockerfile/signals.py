"""Whether a word names a signal."""

from __future__ import annotations

import re
import signal
from typing import Final

from boxship.build.dockerfile.errors import DockerfileError

GREATEST: Final = 64
REALTIME: Final = re.compile(r"RTMIN(\+(?:[1-9]|1[0-5]))?|RTMAX(-(?:[1-9]|1[0-4]))?", re.ASCII)


def check(text: str) -> None:
    """Refuse a word that is no signal, in Docker's words."""
    if text.isascii() and text.isdigit():
        if 0 < int(text[:6]) <= GREATEST:
            return
    else:
        word = text.upper().removeprefix("SIG")
        if f"SIG{word}" in signal.Signals.__members__ or REALTIME.fullmatch(word):
            return
    raise DockerfileError(f"invalid signal: {text}")
