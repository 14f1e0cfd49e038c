"""Sizes, lengths of time, moments, columns and quoted text, as people see them."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.lib import duration, moments, units
from boxship.lib.table import columns
from boxship.lib.words import natural, shorten, visible, visible_block


@pytest.mark.parametrize(
    ("size", "decimal", "binary"),
    [
        (0, "0B", "0B"),
        (999, "999B", "999B"),
        (1000, "1kB", "1000B"),
        (1981740, "1.982MB", "1.89MiB"),
        (25276514304, "25.28GB", "23.54GiB"),
    ],
)
def test_sizes(size: int, decimal: str, binary: str) -> None:
    assert (units.human_size(size), units.binary_size(size)) == (decimal, binary)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("6m", 6 << 20), ("1.5GiB", 3 << 29), ("2kb", 2048), ("1T", 1 << 40)],
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert units.parse_ram(text) == size


@pytest.mark.parametrize("text", ["", "x", "-1", "1x", "1.2.3", "1mbb", "8192p", "9" * 400])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="invalid s"):
        units.parse_ram(text)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (47 * 3600, "47 hours"),
        (3 * 86400, "3 days"),
        (15 * 86400, "2 weeks"),
        (100 * 86400, "3 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_lengths_of_time(seconds: float, said: str) -> None:
    assert duration.human(seconds) == said


@given(st.integers(0, 10**18))
def test_a_duration_reads_back_the_same(nanoseconds: int) -> None:
    assert duration.parse(duration.show(nanoseconds)) == nanoseconds


@pytest.mark.parametrize("text", ["", "x", "1", "1x", "1.s.", ".s", "1h-1m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time: "):
        duration.parse(text)


@given(st.integers(0, 4 * 10**18))
def test_a_moment_reads_back_the_same(nanoseconds: int) -> None:
    text = moments.show(nanoseconds)
    assert moments.parse(text) == nanoseconds
    whole = datetime.datetime.fromisoformat(text[:19] + "+00:00")
    assert int(whole.timestamp()) == nanoseconds // 10**9


def test_moments_in_other_zones() -> None:
    assert moments.parse("2026-11-21T05:00:00+01:00") == moments.parse("2026-11-21T04:00:00Z")
    with pytest.raises(ValueError, match="not a time"):
        moments.parse("yesterday")


def test_columns_line_up_as_tabwriters_do() -> None:
    assert columns("A\tB\tC\nlonger than ten\tx\ty") == (
        "A                 B         C\nlonger than ten   x         y"
    )
    # A line without a cell ends the column: what follows is measured afresh.
    assert columns("aaaaaaaaaaaa\tx\n\nb\ty") == "aaaaaaaaaaaa   x\n\nb         y"


@given(st.text())
def test_nothing_that_drives_a_terminal_is_left(text: str) -> None:
    assert visible(text).isprintable()
    shown = visible_block(text)
    assert all(char.isprintable() or char in "\n\t" for char in shown)


def test_escapes_are_shown_and_not_sent() -> None:
    assert visible("a\x1b[31mred\x9b\u202e") == "a\\x1b[31mred\\x9b\\u202e"
    assert visible("caf\u00e9") == "caf\u00e9"


def test_shortening_and_sorting() -> None:
    assert shorten("abcdef", 4) == "abc\u2026"
    assert sorted(["v10", "v9", "a"], key=natural) == ["a", "v9", "v10"]
