"""Plans that were laid out before, for containers that differ by their names alone.

Containers of one image, started one after the other, have specs that are the same but for the
container's ID, which is in paths and is the host name. So are their plans laid out: where one
holds an ID the other holds its own, and an ID has a fixed length. A spec is compared with a mark
that nobody can know in the place of its own ID; another container's ID in it is text like any.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from typing import Final

from msgspec import Struct

from boxship.runtime.prepared import Prepared

LENGTH: Final = 64  # of an ID, all of it hexadecimal digits
SHORT: Final = 12  # of the part that is a host name
MOST: Final = 64
DIGITS: Final = frozenset(b"0123456789abcdef")


class Template(Struct):
    """A plan laid out: the memory and, for failures, the calls' names and words."""

    what: Prepared
    image: bytes
    words: bytes

    def written(self, held: ExitStack) -> int:
        """Return a file with the memory, closed by `held`; the words lie behind it."""
        file = os.memfd_create("boxship-plan", os.MFD_CLOEXEC)
        held.callback(os.close, file)
        os.write(file, self.image)
        os.pwrite(file, self.words, self.what.size)
        return file


class Templates:
    """The last of them, by what they were made for."""

    def __init__(self) -> None:
        self._mark = os.urandom(LENGTH // 2).hex().encode()
        self._kept: dict[Hashable, tuple[bytes, Template]] = {}

    def marked(self, said: bytes, container: str) -> bytes:
        """Return what was said of a container without its ID; nothing where that has no form."""
        name = container.encode()
        if len(name) != LENGTH or not DIGITS.issuperset(name):
            return b""
        return renamed(said, name, self._mark)

    def get(self, key: Hashable, container: str, work_out: Callable[[], Template]) -> Template:
        """Return what was worked out for another container with the same key, or work it out."""
        if not key or (isinstance(key, tuple) and not key[0]):
            return work_out()
        name = container.encode()
        kept = self._kept.pop(key, None)
        if kept is None:
            template = work_out()
            if len(self._kept) >= MOST:
                del self._kept[next(iter(self._kept))]  # the one not asked for the longest
            self._kept[key] = name, template
            return template
        self._kept[key] = kept
        before, template = kept
        image, words = (renamed(data, before, name) for data in (template.image, template.words))
        return Template(template.what, image, words)


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """Put one ID in the place of another, which has as many letters, and its short form too."""
    return data.replace(old, new).replace(old[:SHORT], new[:SHORT])
