"""Patterns: what they match, and that none takes long."""

import random
import time

import pytest

from boxship.lib import globs

TABLE = [
    ("abc", "abc", True),
    ("*", "abc", True),
    ("*", "a/c", False),
    ("*c", "abc", True),
    ("a*/b", "abc/b", True),
    ("a*/b", "a/c/b", False),
    ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
    ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", False),
    ("a*b?c*x", "abxbbxdbxebxczzx", True),
    ("a*b?c*x", "abxbbxdbxebxczzy", False),
    ("ab[c]", "abc", True),
    ("ab[b-d]", "abc", True),
    ("ab[^c]", "abc", False),
    ("ab[^e-g]", "abc", True),
    ("a\\*b", "a*b", True),
    ("a\\*b", "ab", False),
    ("a?b", "aéb", True),
    ("a?b", "a/b", False),
    ("[\\]a]", "]", True),
    ("", "", True),
    ("", "a", False),
    ("**", "abc", True),
]


@pytest.mark.parametrize(("pattern", "text", "matches"), TABLE)
def test_a_pattern_matches(pattern, text, matches):
    assert globs.match(pattern, text) is matches


@pytest.mark.parametrize("pattern", ["[", "[]a]", "[a-", "[-x]", "a[", "[^", "\\", "[a\\"])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(globs.InvalidPattern):
        globs.match(pattern, "a")


def test_many_stars_take_no_time():
    assert not globs.match("*a" * 2000 + "b", "a" * 2000)
    assert not globs.match("*a" * 200_000, "a" * 300)


LONG = 1 << 16
HOSTILE = {
    "a star before a long text": "*" + "a" * (LONG // 2) + "b*",
    "stars": "*a" * (LONG // 2) + "b",
    "stars and anything": "*?" * (LONG // 2),
    "anything among a text": "*" + "a?" * (LONG // 8) + "b*",
    "anything": "*" + "?" * (LONG // 2) + "b*",
    "classes": "*" + "[a-c]" * 200 + "b*",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_long_pattern_and_a_long_name_take_milliseconds(kind):
    """SEC-115: 64 KiB of each in 50 ms; what is not linear takes minutes."""
    taken = []
    for _ in range(3):
        begun = time.process_time()
        globs.match(HOSTILE[kind], "a" * LONG)
        taken.append(time.process_time() - begun)
    assert min(taken) < 3


def slowly(pattern, text):
    """Match as one would by hand, one way after the other."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        rest = range(len(text) + 1)
        return any(slowly(pattern[1:], text[at:]) for at in rest if "/" not in text[:at])
    if not text or (pattern[0] == "?" and text[0] == "/"):
        return False
    return pattern[0] in ("?", text[0]) and slowly(pattern[1:], text[1:])


def test_it_agrees_with_trying_every_way():
    pick = random.Random(5)
    matched = 0
    for _ in range(5000):
        pattern = "".join(pick.choices("**ab?/", k=pick.randrange(8)))
        text = "".join(pick.choices("ab/", k=pick.randrange(8)))
        assert globs.match(pattern, text) is slowly(pattern, text), (pattern, text)
        matched += slowly(pattern, text)
    assert matched > 100


def test_more_classes_than_anybody_writes_are_refused():
    with pytest.raises(globs.InvalidPattern):
        globs.match("[ab]" * 300, "a" * 300)
