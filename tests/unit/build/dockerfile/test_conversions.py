"""A conversion is had again where its text, its options and its bases are what they were."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.support.dockerfiles import AMD64, ARM64, Bases

from boxship.build.dockerfile.conversions import LONGEST, MOST, Conversions
from boxship.build.dockerfile.convert import Converted
from boxship.build.dockerfile.errors import NoSuchBase
from boxship.build.dockerfile.lint import Finding
from boxship.build.dockerfile.options import Images, Options
from boxship.build.dockerfile.parse import Parsed, parse
from boxship.errors import NotFound
from boxship.lib.ignore import Matcher

FILE = "FROM base\nARG WHO=me\nRUN echo $WHO\nCOPY . /there\n"


class Counted:
    """Conversions, and how many were done."""

    def __init__(self) -> None:
        self.conversions = Conversions()
        self.count = 0
        self.findings: list[Finding] = []

    def __call__(
        self, text: str = FILE, options: Options | None = None, finder: Images | None = None
    ) -> Converted:
        async def parsed() -> Parsed:
            self.count += 1
            return parse(text)

        asked = options or Options(target_platform=AMD64, build_platforms=(AMD64,))
        doing = self.conversions.convert(
            text.encode(), parsed, asked, finder or Bases(), self.findings
        )
        return asyncio.run(doing)


USUAL = Options(target_platform=AMD64, build_platforms=(AMD64,), build_args={"WHO": "you"})


def test_the_same_comes_to_the_same() -> None:
    convert = Counted()
    first = convert(FILE, USUAL)
    again = convert(FILE, replace(USUAL, build_args={"WHO": "you"}))
    assert again == first
    assert again.root is first.root
    assert convert.count == 1


def test_a_configuration_that_is_changed_is_so_for_one_build_only() -> None:
    convert = Counted()
    first = convert()
    assert first.config.config is not None
    assert first.config.config.env is not None
    first.config.config.env.append("NEW=1")
    first.config.config.labels = {"three": "four"}
    again = convert().config.config
    assert again is not None
    assert again.env == ["PATH=/bin"]
    assert not again.labels
    assert convert.count == 1


@pytest.mark.parametrize(
    "options",
    [
        replace(USUAL, build_args={"WHO": "they"}),
        replace(USUAL, target_platform=ARM64),
        replace(USUAL, labels={"a": "b"}),
        replace(USUAL, no_cache=frozenset()),
        replace(USUAL, ignore=Matcher(["*.o"])),
        replace(USUAL, hosts=(("a", "10.0.0.1"),)),
    ],
)
def test_other_options_come_to_something_else(options: Options) -> None:
    convert = Counted()
    convert(FILE, USUAL)
    convert(FILE, options)
    assert convert.count == 2


def test_patterns_are_compared_by_what_they_say() -> None:
    convert = Counted()
    for _ in range(2):
        convert(FILE, replace(USUAL, ignore=Matcher(["*.o", "!a.o"])))
    assert convert.count == 1
    convert(FILE, replace(USUAL, ignore=Matcher(["*.o", "a.o"])))
    assert convert.count == 2


def test_what_checks_have_found_is_told_each_time() -> None:
    convert = Counted()
    found = []
    for _ in range(2):
        convert("FROM base\nworkdir /x\nMAINTAINER me\n")
        found.append([one.rule.name for one in convert.findings])
        convert.findings.clear()
    assert found[0] == found[1] != []
    assert convert.count == 1


def test_a_base_that_has_changed_is_noticed() -> None:
    class Other(Bases):
        async def resolve(self, reference, platform):  # type: ignore[no-untyped-def]
            found = await super().resolve(reference, platform)
            return replace(found, config=found.config + b" ")

    convert = Counted()
    convert()
    convert(finder=Other())
    assert convert.count == 2
    convert(finder=Other())
    convert()
    assert convert.count == 2


def test_a_base_that_has_gone_is_told_with_its_line_and_asked_for_once() -> None:
    asked = 0

    class Gone(Bases):
        async def resolve(self, reference, platform):  # type: ignore[no-untyped-def]
            nonlocal asked
            asked += 1
            raise NotFound(f"{reference}: not found")

    convert = Counted()
    convert()
    with pytest.raises(NoSuchBase) as refusal:
        convert(finder=Gone())
    assert [place.first for place in refusal.value.places] == [1]
    assert asked == 1


def test_only_so_many_and_only_short_ones_are_kept() -> None:
    convert = Counted()
    for number in range(MOST + 1):
        convert(f"FROM base\nRUN {number}\n")
    convert(f"FROM base\nRUN {MOST}\n")
    assert convert.count == MOST + 1
    convert("FROM base\nRUN 0\n")
    assert convert.count == MOST + 2
    long = f"FROM base\nRUN {'x' * LONGEST}\n"
    convert(long)
    convert(long)
    assert convert.count == MOST + 4
