"""What permissions become: an octal number, or chmod's words."""

from __future__ import annotations

import re
import stat
from typing import Final

from boxship.errors import InvalidRequest

CLAUSE: Final = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]+|[ugo])?)+)", re.ASCII)
ACTION: Final = re.compile(r"([-+=])([ugo]|[rwxXst]*)", re.ASCII)
SHIFT: Final = {"u": 6, "g": 3, "o": 0}
AS_OWNER: Final = {"u": 0o4000, "g": 0o2000, "o": 0}
BITS: Final = {"r": 4, "w": 2, "x": 1}


def changed(mode: int, said: str) -> int:
    """Return a file's permission bits after `said`; `mode` is whole, with the kind of file."""
    if said.isascii() and said.isdigit():
        number = int(said, 8)
        if number > 0o7777:
            raise InvalidRequest(f"invalid mode {said!r}")
        return number
    bits = stat.S_IMODE(mode)
    for clause in said.split(","):
        found = CLAUSE.fullmatch(clause)
        if found is None:
            raise InvalidRequest(f"invalid mode {said!r}")
        who = "ugo" if not found[1] or "a" in found[1] else found[1]
        for operator, words in ACTION.findall(found[2]):
            bits = _applied(bits, who, operator, words, runs=stat.S_ISDIR(mode) or mode & 0o111 > 0)
    return bits


def _applied(bits: int, who: str, operator: str, words: str, *, runs: bool) -> int:
    wanted = cleared = 0
    for one in who:
        shift = SHIFT[one]
        if words in SHIFT:
            value = bits >> SHIFT[words] & 7
        else:
            value = 0
            for word in words:
                value |= BITS.get(word, 0)
            if "X" in words and operator != "-" and runs:
                value |= 1
        wanted |= value << shift
        cleared |= 7 << shift
        if words not in SHIFT:
            cleared |= AS_OWNER[one]
        if "s" in words:
            wanted |= AS_OWNER[one]
    if "t" in words and who != "o":
        wanted |= 0o1000
    match operator:
        case "+":
            return bits | wanted
        case "-":
            return bits & ~wanted
        case _:
            return bits & ~cleared | wanted
