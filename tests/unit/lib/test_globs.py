"""Patterns: what they match, and that none takes long."""

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
