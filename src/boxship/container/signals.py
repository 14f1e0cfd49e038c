"""Signals by the names that people and images use."""

from __future__ import annotations

import signal
from typing import Final

from boxship.errors import InvalidRequest

GREATEST: Final = 64


def _names() -> dict[str, int]:
    found = {name: int(member) for name, member in signal.Signals.__members__.items()}
    rtmin, rtmax = int(signal.SIGRTMIN), int(signal.SIGRTMAX)
    found |= {f"SIGRTMIN+{step}": rtmin + step for step in range(1, 16)}
    found |= {f"SIGRTMAX-{step}": rtmax - step for step in range(1, 15)}
    return found


NAMES: Final = _names()


def parse(text: str) -> int:
    """Read `KILL`, `SIGKILL`, `sigkill` or `9`."""
    if text.isascii() and text.isdigit():
        number = int(text[:6])
        if not 0 < number <= GREATEST:
            raise InvalidRequest(
                f"invalid signal: {text}"
                if not number
                else f"the linux daemon does not support signal {text}"
            )
        return number
    word = text.upper()
    found = NAMES.get(word if word.startswith("SIG") else f"SIG{word}")
    if found is None:
        raise InvalidRequest(f"invalid signal: {text}")
    return found
