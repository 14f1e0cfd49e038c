"""Conversions that were done before: the same text, options and bases come to the same graph.

A conversion asks the world for nothing but base images. Whoever finds that these have not changed,
either, can have its result again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from boxship.build.dockerfile import image as images
from boxship.build.dockerfile import include
from boxship.build.dockerfile.convert import Converted, convert_parsed
from boxship.build.dockerfile.lint import Finding
from boxship.build.dockerfile.options import Images, Options, Resolved
from boxship.build.dockerfile.parse import Parsed
from boxship.spec.platform import Platform

MOST: Final = 16
LONGEST: Final = 16 << 10  # bytes of a file whose conversion is kept
ROOM: Final = 64 << 10  # bytes of all of them

Asked = tuple[str, Platform]


@dataclass(slots=True)
class _Bases:
    """Finds each base image once, and knows what was found."""

    finder: Images
    found: dict[Asked, Resolved | Exception] = field(default_factory=dict)

    async def resolve(self, reference: str, platform: Platform) -> Resolved:
        asked = (reference, platform)
        if asked not in self.found:
            try:
                self.found[asked] = await self.finder.resolve(reference, platform)
            except Exception as failure:
                self.found[asked] = failure
        found = self.found[asked]
        if isinstance(found, Exception):
            raise found
        return found


@dataclass(frozen=True, slots=True)
class _Done:
    text: bytes
    options: Options
    bases: dict[Asked, Resolved | Exception]
    converted: Converted

    async def still_stands(self, bases: _Bases) -> bool:
        """Whether its base images are what they were."""
        for (reference, platform), before in self.bases.items():
            try:
                if await bases.resolve(reference, platform) != before:
                    return False
            except Exception:
                return False  # a conversion says what is wrong, and in which line
        return True


class Conversions:
    """Converts, and keeps the results of short files; belongs to one event loop."""

    def __init__(self) -> None:
        self._done: list[_Done] = []  # that used last being the last

    async def convert(
        self,
        text: bytes,
        parsed: Callable[[], Awaitable[Parsed]],
        options: Options,
        finder: Images,
        findings: list[Finding],
    ) -> Converted:
        """Convert a file for one platform; `parsed` is called where that is to be done anew.

        What the checks find is added to `findings`, up to where a conversion fails.
        """
        bases = _Bases(finder)
        for done in reversed(self._done):
            same = done.text == text and done.options == options
            if same and await done.still_stands(bases):
                self._keep(done)
                findings += done.converted.findings
                return _own(done.converted)
        read = await parsed()
        converted = await convert_parsed(read, options, bases, findings)
        if len(text) <= LONGEST and include.DIRECTIVE not in read.directives:
            self._keep(_Done(text, options, bases.found, converted))
        return _own(converted)

    def _keep(self, done: _Done) -> None:
        self._done = [*(one for one in self._done if one is not done), done]
        while len(self._done) > MOST or sum(len(one.text) for one in self._done) > ROOM:
            del self._done[0]


def _own(converted: Converted) -> Converted:
    """Return a conversion whose configuration may be changed."""
    return replace(converted, config=images.copy(converted.config))
