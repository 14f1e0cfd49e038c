from __future__ import annotations

import pytest

from boxship.container import names
from boxship.container.errors import InvalidName


@pytest.mark.parametrize(
    ("asked", "name"),
    [("web", "web"), ("/web", "web"), ("a.b-c_9", "a.b-c_9"), ("00", "00"), ("x" * 300, "x" * 300)],
)
def test_names(asked: str, name: str) -> None:
    assert names.checked(asked) == name


@pytest.mark.parametrize(
    "asked",
    ["", "/", "a", "-a", ".a", "_a", "a b", "a/b", "//ab", "a\n", "ab\0", "é1", "../ab", "ab:1"],
)
def test_what_is_no_name(asked: str) -> None:
    with pytest.raises(InvalidName) as refusal:
        names.checked(asked)
    assert "only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed" in str(refusal.value)


def test_random_names_are_allowed_ones_and_free() -> None:
    taken: set[str] = set()
    for _ in range(2000):
        name = names.unused(taken)
        assert names.checked(name) == name
        assert name not in taken
        taken.add(name)


def test_when_the_words_are_used_up_numbers_follow() -> None:
    first = names.unused((), pick=lambda _: 0)
    digits = iter(range(10**6))

    def pick(most: int) -> int:
        return 0 if most in (len(names.ADJECTIVES), len(names.NOUNS)) else next(digits) % most

    assert names.unused({first}, pick) == f"{first}0"


def test_a_world_without_a_free_name_is_said_to_be_one() -> None:
    class Everything:
        def __contains__(self, _: object) -> bool:
            return True

    with pytest.raises(RuntimeError, match="all taken"):
        names.unused(Everything())
