"""Expressions in RE2's syntax: what they match, what is none, and that none takes long."""

from __future__ import annotations

import random
import re

import pytest

from boxship.lib import re2

TABLE = [
    ("", "", True),
    ("", "abc", True),
    ("b", "abc", True),
    ("^b", "abc", False),
    ("c$", "abc", True),
    ("a.c", "a\nc", False),
    ("(?s)a.c", "a\nc", True),
    ("a|b|", "x", True),
    ("^(a|b)+$", "abba", True),
    ("^(a|b)+$", "abca", False),
    ("^a{2,3}$", "aaaa", False),
    ("^a{2,}?$", "aaaa", True),
    ("^a{3}$", "aaa", True),
    ("a{,2}", "a{,2}", True),
    ("x{a}", "x{a}", True),
    ("[^a-c]", "abc", False),
    ("[^a-c]", "abcd", True),
    ("[]a]", "]", True),
    ("[a-]", "-", True),
    ("[a\\-z]", "-", True),
    ("[a\\-z]", "b", False),
    ("[[:digit:]]+", "x7", True),
    ("[[:^digit:]]", "77", False),
    ("[\\d\\s]", "a b", True),
    ("^\\w+$", "a_9", True),
    ("\\W", "a_9", False),
    ("\\bfoo\\b", "a foo b", True),
    ("\\bfoo\\b", "afoo b", False),
    ("\\Boo", "foo", True),
    ("\\Aab\\z", "ab", True),
    ("(?m)^b$", "a\nb\nc", True),
    ("^b$", "a\nb\nc", False),
    ("(?i)HeLLo", "hEllO", True),
    ("a(?i:B)c", "abc", True),
    ("a(?i:B)c", "abC", False),
    ("(?i)a(?-i)b", "AB", False),
    ("(?i)a(?-i)b", "Ab", True),
    ("(?i)[k]", "K", True),
    ("(?P<name>a)(?<other>b)(?:c)", "abc", True),
    ("\\Q.*\\E+x", "a.**x", True),
    ("\\Qa", "a", True),
    ("\\x41\\x{1F600}", "A\U0001f600", True),
    ("\\101\\0", "A\0", True),
    ("\\t\\n\\.\\_\\-", "\t\n._-", True),
    ("^\\pL+$", "héß", True),
    ("\\p{Lu}", "aB", True),
    ("\\P{L}", "ab", False),
    ("\\p{^L}", "ab", False),
    ("(a*)*b", "aaab", True),
    ("(|a)+$", "b", True),
    ("com\\.example\\..*", "com.example.a", True),
]


@pytest.mark.parametrize(("pattern", "text", "matches"), TABLE)
def test_it_matches(pattern: str, text: str, matches: bool) -> None:
    assert re2.compile(pattern).search(text) is matches


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(", "missing closing ): `(`"),
        (")", "unexpected ): `)`"),
        ("[a", "missing closing ]: `[a`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("[[:none:]]", "invalid character class range: `[:none:]`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("(?i)*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{3,2}", "invalid repeat count: `{3,2}`"),
        ("\\1", "invalid escape sequence: `\\1`"),
        ("\\C", "invalid escape sequence: `\\C`"),
        ("\\", "trailing backslash at end of expression: ``"),
        ("\\x{110000}", "invalid escape sequence"),
        ("\\pX", "invalid character class range: `\\pX`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
        ("(?P=a)", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?<=a)", "invalid named capture"),
        ("(?P<a>x)(?P<a>y)", "duplicate capture group name: `a`"),
    ],
)
def test_what_is_none_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(re2.InvalidExpression) as caught:
        re2.compile(pattern)
    assert str(caught.value).startswith(f"error parsing regexp: {said}")


@pytest.mark.parametrize(
    "pattern",
    ["(" * 500, "((a{1000}){1000}){1000}", "((){1000}){1000}", "a?" * 2500, "(a|b|){999}"],
)
def test_what_is_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(re2.InvalidExpression):
        re2.compile(pattern)


@pytest.mark.parametrize(
    "pattern", ["(a+)+$", "(a|a)*$", "(a|aa)+$", "(.*)(.*)(.*)x", "(a?){30}a{30}"]
)
def test_what_takes_others_for_ever_takes_no_time(pattern: str) -> None:
    """With each of these, trying one way after the other would take longer than the world."""
    re2.compile(pattern).search("a" * 5000 + "!")


def test_what_cannot_be_told_soon_is_refused() -> None:
    text = "".join(random.Random(1).choices("ab", k=1 << 16))
    with pytest.raises(re2.InvalidExpression, match="takes too long"):
        re2.compile("(a|b)*a(a|b){600}c").search(text)


def test_it_agrees_with_pythons_where_both_mean_the_same() -> None:
    pick = random.Random(7)

    def some(depth: int) -> str:
        match pick.randrange(8 if depth else 4):
            case 0 | 1:
                return pick.choice("abc")
            case 2:
                return pick.choice([".", "[ab]", "[^a]", "\\b", "\\w", "(?:)"])
            case 3:
                return pick.choice(["^a", "b$", "a"])
            case 4 | 5:
                return some(depth - 1) + some(depth - 1)
            case 6:
                return f"({some(depth - 1)}|{some(depth - 1)})"
            case _:
                return f"({some(depth - 1)}){pick.choice(['*', '+', '?', '{0,2}', '{2}'])}"

    for _ in range(3000):
        pattern = some(3).replace("$", "\\Z")
        text = "".join(pick.choices("abc ", k=pick.randrange(8)))
        wanted = re.search(pattern, text) is not None
        assert re2.compile(pattern.replace("\\Z", "$")).search(text) is wanted, (pattern, text)
