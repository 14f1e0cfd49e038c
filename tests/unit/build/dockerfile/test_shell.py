"""Variables, quotes and escapes, word by word."""

from __future__ import annotations

import time

import pytest

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.shell import LIMIT, Lexer, quoted

ENV = {
    "PWD": "/home",
    "EMPTY": "",
    "KOR": "한국어",
    "PATH": "a/b/c.tar.gz",
    "STARS": "a*b*c",
    "SPACED": "one  two",
    "QUOTED": "it's",
}


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("hello", "hello"),
        ("he'll'o", "hello"),
        ("he'll o'", "hell o"),
        ("he\\'llo", "he'llo"),
        ("abc\\tdef", "abctdef"),
        ("'abc\\tdef'", "abc\\tdef"),
        ('"abc\\tdef"', "abc\\tdef"),
        ('"a\\"b"', 'a"b'),
        ('"a\\\\b"', "a\\b"),
        ("'a\"b'", 'a"b'),
        ('"a\'b"', "a'b"),
        ("a\\", "a"),
        ("\\$PWD", "$PWD"),
        ("'$PWD'", "$PWD"),
        ('"$PWD"', "/home"),
        ('"\\$PWD"', "$PWD"),
        ("$PWD", "/home"),
        ("${PWD}", "/home"),
        ("x$PWD.y", "x/home.y"),
        ("$PWDX", ""),
        ("${PWD}X", "/homeX"),
        ("$", "$"),
        ("$ x", "$ x"),
        ("$.x", "$.x"),
        ("$1x", "x"),
        ("$12x", "x"),
        ("$@", ""),
        ("한${KOR}글", "한한국어글"),
        ("${PWD:-x}", "/home"),
        ("${NO:-x}", "x"),
        ("${NO-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("${EMPTY-x}", ""),
        ("${NO:-$PWD}", "/home"),
        ("${NO:-${NO2:-deep}}", "deep"),
        ("${NO:-a b}", "a b"),
        ("${NO:-'a}b'}", "a}b"),
        ("${NO:-a\\}b}", "a}b"),
        ("${PWD:+x}", "x"),
        ("${NO:+x}", ""),
        ("${EMPTY:+x}", ""),
        ("${EMPTY+x}", "x"),
        ("${NO+x}", ""),
        ("${PWD:?no}", "/home"),
        ("${EMPTY?no}", ""),
        ("${PATH#*/}", "b/c.tar.gz"),
        ("${PATH##*/}", "c.tar.gz"),
        ("${PATH%.*}", "a/b/c.tar"),
        ("${PATH%%.*}", "a/b/c"),
        ("${PATH#a?b}", "/c.tar.gz"),
        ("${PATH#x}", "a/b/c.tar.gz"),
        ("${PATH%x}", "a/b/c.tar.gz"),
        ("${STARS#*\\*}", "b*c"),
        ("${STARS##*\\*}", "c"),
        ("${STARS%\\**}", "a*b"),
        ("${PATH/\\//-}", "a-b/c.tar.gz"),
        ("${PATH//\\//-}", "a-b-c.tar.gz"),
        ("${PATH//[/x}", "a/b/c.tar.gz"),
        ("${PATH/?\\/b/x}", "x/c.tar.gz"),
        ("${PATH/.*/}", "a/b/c"),
        ("${PWD//o/0}", "/h0me"),
        ("${PWD/o/$KOR}", "/h한국어me"),
        ("${PWD//*/x}", "x"),
        ("${NO//a/b}", ""),
        ("${NO#a}", ""),
        ("$QUOTED", "it's"),
        ("${PWD:-it's}'}", "/home"),
    ],
)
def test_a_word_becomes(word, result):
    assert Lexer().expand(word, ENV).text == result


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("'abc", "looking for matching single-quote"),
        ('"abc', "looking for matching double-quote"),
        ("${", "syntax error: missing '}'"),
        ("${PWD", "unsupported modifier ()"),
        ("${PWD:-x", "syntax error: missing '}'"),
        ("${}", "bad substitution"),
        ("${:}", "bad substitution"),
        ("${{x}}", "bad substitution"),
        ("${PWD=x}", "unsupported modifier (=) in substitution"),
        ("${PWD:=x}", "unsupported modifier (:=) in substitution"),
        ("${PWD!x}", "unsupported modifier (!) in substitution"),
        ("${NO:?}", "NO: is not allowed to be unset"),
        ("${NO?gone}", "NO: gone"),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
        ("${PWD/x}", "missing '/' in ${}"),
        ("${PWD/x/y", "missing '}'"),
        ("${PWD#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"),
    ],
)
def test_what_is_no_word_is_refused(word, message):
    with pytest.raises(DockerfileError) as refusal:
        Lexer().expand(word, ENV)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith(f"failed to process {quoted(word)}: ")


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("a b", ["a", "b"]),
        ("  a   b  ", ["a", "b"]),
        ("'a b' c", ["a b", "c"]),
        ("a\\ b c", ["a b", "c"]),
        ("$SPACED", ["one", "two"]),
        ('"$SPACED"', ["one  two"]),
        ("x$SPACED", ["xone", "two"]),
        ("", []),
        ("$EMPTY", []),
    ],
)
def test_words_are_parted_after_expansion(word, words):
    assert Lexer().expand(word, ENV, words=True).words == words


@pytest.mark.parametrize(
    ("word", "result"),
    [
        ("$NO ${NO} ${NO:-x} ${NO#a} ${NO/a/b}", "$NO ${NO} ${NO:-x} ${NO#a} ${NO/a/b}"),
        ("'a' \"$PWD\"", "'a' \"/home\""),
    ],
)
def test_what_is_shown_keeps_quotes_and_unknown_names(word, result):
    assert Lexer(raw_quotes=True, skip_unset=True).expand(word, ENV).text == result


def test_another_escape_character_leaves_backslashes_alone():
    assert Lexer("`").expand("c:\\x `$PWD $PWD", ENV).text == "c:\\x $PWD /home"


def test_names_that_were_looked_up_are_told():
    found = Lexer().expand("$PWD ${NO:-$ALSO}", ENV)
    assert (found.matched, found.unmatched) == ({"PWD"}, {"NO", "ALSO"})


def test_nesting_has_an_end():
    with pytest.raises(DockerfileError, match="too deep"):
        Lexer().expand("${A:-" * 5000 + "}" * 5000, {})


def test_a_word_cannot_grow_without_bound():
    with pytest.raises(DockerfileError, match="too long"):
        Lexer().expand("$A" * 100, {"A": "x" * (LIMIT // 50)})


def test_patterns_take_no_more_time_than_they_are_long():
    """A backtracking matcher would not come back from this one."""
    value = "a" * 20_000
    began = time.process_time()
    assert Lexer().expand("${A#" + "*a" * 200 + "b}", {"A": value}).text == value
    assert time.process_time() - began < 20
