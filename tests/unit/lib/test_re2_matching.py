"""Which part of a text an expression matches, and its groups."""

from __future__ import annotations

import random
import re

import pytest

from boxship.lib import re2

LETTERS = "ab."
PIECES = ["a", "b", ".", "(a|ab)", "(b*)", "a*?", "(a+?)", "[ab]?", "(?:a|b)+", "(a)|(b)", "^", "$"]


def spans(pattern: str, text: str) -> list[tuple[str, int]] | None:
    found = re2.matcher(pattern).find(text)
    if found is None:
        return None
    return [(found.group(n), found.places[2 * n]) for n in range(len(found.places) // 2)]


def spans_of_python(pattern: str, text: str) -> list[tuple[str, int]] | None:
    found = re.search(pattern, text)
    if found is None:
        return None
    return [(found[n] or "", found.start(n)) for n in range(len(found.groups()) + 1)]


@pytest.mark.parametrize("seed", range(20))
def test_matches_are_those_of_a_backtracking_engine(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(150):
        pattern = "".join(chance.choices(PIECES, k=chance.randint(1, 4)))
        text = "".join(chance.choices(LETTERS, k=chance.randint(0, 8)))
        assert spans(pattern, text) == spans_of_python(pattern, text), (pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "said"),
    [
        ("a", "banana", "b<a>n<a>n<a>"),
        ("a*", "baac", "<>b<aa>c<>"),  # as Go has it: no empty one behind another
        ("", "ab", "<>a<>b<>"),
        ("(?U)a+", "aaa", "<a><a><a>"),
        ("(?U)a+?", "aaa", "<aaa>"),
        ("b$", "bb", "b<b>"),
        ("x", "ab", "ab"),
    ],
)
def test_all_matches_are_replaced(pattern: str, text: str, said: str) -> None:
    assert re2.matcher(pattern).replace(text, lambda found: f"<{found.group(0)}>") == said


def test_groups_have_numbers_and_names() -> None:
    found = re2.matcher(r"(?P<host>[^/]+)/(?:x/)?(\w+)(:.*)?").find("a.example/x/name")
    assert found is not None
    assert [found.group(n) for n in (0, 1, 2, 3, 4)] == [
        "a.example/x/name", "a.example", "name", "", "",
    ]  # fmt: skip
    assert (found.group("host"), found.group("other")) == ("a.example", "")


@pytest.mark.parametrize("pattern", ["(a+)+b|(.*)", "(a|a)*c|(.*)", "((a*)*)*d|(.*)"])
def test_what_takes_a_backtracking_engine_for_ever_takes_a_moment(pattern: str) -> None:
    found = re2.matcher(pattern).find("a" * 2000)
    assert found is not None
    assert found.end == 2000


def test_what_takes_too_much_is_given_up() -> None:
    with pytest.raises(re2.InvalidExpression, match="too long"):
        re2.matcher("(" * 50 + "a*" + ")*" * 50 + "(a?){900}b").find("a" * 4000)
