"""Sets of characters, as sorted ranges of code points."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

Range = tuple[int, int]
Ranges = tuple[Range, ...]

LAST: Final = sys.maxunicode
ANY: Final[Ranges] = ((0, LAST),)
BUT_NEWLINE: Final[Ranges] = ((0, 9), (11, LAST))
_DIGITS: Final[Ranges] = ((0x30, 0x39),)
_UPPER: Final[Ranges] = ((0x41, 0x5A),)
_LOWER: Final[Ranges] = ((0x61, 0x7A),)
_SPACES: Final[Ranges] = ((9, 10), (12, 13), (32, 32))


def union(*sets: Iterable[Range]) -> Ranges:
    """Return what is in any of some sets."""
    found: list[Range] = []
    for low, high in sorted(one for ranges in sets for one in ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return tuple(found)


def without(ranges: Ranges) -> Ranges:
    """Return all that is not in a set."""
    found, low = [], 0
    for start, end in union(ranges):
        if low < start:
            found.append((low, start - 1))
        low = end + 1
    if low <= LAST:
        found.append((low, LAST))
    return tuple(found)


WORD: Final = union(_DIGITS, _UPPER, _LOWER, ((0x5F, 0x5F),))
PERL: Final = {
    "d": _DIGITS, "D": without(_DIGITS), "s": _SPACES, "S": without(_SPACES),
    "w": WORD, "W": without(WORD),
}  # fmt: skip
POSIX: Final[dict[str, Ranges]] = {
    "alnum": union(_DIGITS, _UPPER, _LOWER),
    "alpha": union(_UPPER, _LOWER),
    "ascii": ((0, 0x7F),),
    "blank": ((9, 9), (32, 32)),
    "cntrl": ((0, 0x1F), (0x7F, 0x7F)),
    "digit": _DIGITS,
    "graph": ((0x21, 0x7E),),
    "lower": _LOWER,
    "print": ((0x20, 0x7E),),
    "punct": ((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E)),
    "space": ((9, 13), (32, 32)),
    "upper": _UPPER,
    "word": WORD,
    "xdigit": union(_DIGITS, ((0x41, 0x46), (0x61, 0x66))),
}
_CATEGORIES: Final = {
    "L": "ultmo",
    "M": "nce",
    "N": "dlo",
    "P": "cdseifo",
    "S": "mcko",
    "Z": "slp",
    "C": "cfos",
}  # without the characters that are none yet


@lru_cache(maxsize=16)
def category(name: str) -> Ranges | None:
    """Return the characters of a Unicode category such as `Lu`, or `L`; None for no such one."""
    if name == "Any":
        return ANY
    every = {first + second for first, more in _CATEGORIES.items() for second in more}
    wanted = {one for one in every if name in (one, one[0])}
    if not wanted:
        return None
    import unicodedata  # large, and seldom asked for

    found: list[Range] = []
    start = -1
    for number in range(LAST + 2):
        is_in = number <= LAST and unicodedata.category(chr(number)) in wanted
        if is_in and start < 0:
            start = number
        elif not is_in and start >= 0:
            found.append((start, number - 1))
            start = -1
    return tuple(found)


def folded(ranges: Ranges) -> Ranges:
    """Return a set with every letter in both of its cases."""
    if ranges == ANY or sum(high - low for low, high in ranges) > 0x3000:
        return ranges  # a large set, as of a category, is taken as it is
    more = list(ranges)
    for low, high in ranges:
        for number in range(low, high + 1):
            letter = chr(number)
            for other in (letter.lower(), letter.upper()):
                if len(other) == 1:
                    more.append((ord(other), ord(other)))
    return union(more)


def holds(ranges: Ranges, number: int) -> bool:
    """Whether a character is in a set."""
    at = bisect_right(ranges, (number, LAST)) - 1
    return at >= 0 and ranges[at][0] <= number <= ranges[at][1]
