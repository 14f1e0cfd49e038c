"""`.dockerignore`: which paths each pattern leaves out."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.lib import ignore
from boxship.lib.ignore import NOTHING_MATCHED, InvalidPattern, Matcher


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("**", "file", True),
        ("**", "dir/file", True),
        ("**/", "file", True),
        ("**/", "dir/file", True),
        ("**/**", "dir/file", True),
        ("dir/**", "dir/file", True),
        ("dir/**", "dir", False),
        ("dir/**", "dir/a/b", True),
        ("dir", "dir/a/b", True),
        ("dir/", "dir/a", True),
        ("**/dir", "a/dir", True),
        ("**/dir", "dir", True),
        ("**/dir", "a/dir/b", True),
        ("**/dir2/*", "dir/dir2/file", True),
        ("**/dir2/*", "dir/dir2/a/b", True),
        ("**/dir2/*", "dir/dir2", False),
        ("**/dir2/**", "dir/dir2/a/b", True),
        ("**file", "dir/file", True),
        ("**file", "dir/afile", True),
        ("**/file", "dir/afile", False),
        ("**/**/*.txt", "a/b/file.txt", True),
        ("**/*.txt", "file.txt", True),
        ("*.txt", "dir/file.txt", False),
        ("*", "a/b", True),
        ("*/*", "a/b/c", True),
        ("*/*", "a", False),
        ("a*", "abc", True),
        ("a*", "abc/d", True),
        ("a*/b", "abc/b", True),
        ("a*/b", "a/c/b", False),
        ("a*b*c*d*e*/f", "axbxcxdxe/f", True),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", False),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a*b?c*x", "abxbbxdbxebxczzy", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "ab", False),
        ("[!a]", "!", True),
        ("a?b", "a☺b", True),
        ("a[^a]b", "a☺b", True),
        ("a???b", "a☺b", False),
        ("[a-ζ]*", "α", True),
        ("*[a-ζ]", "A", False),
        ("a?b", "a/b", False),
        ("a*b", "a/b", False),
        ("[\\]a]", "]", True),
        ("[\\-x]", "-", True),
        ("abc.def", "abcdef", False),
        ("abc.def", "abc.def", True),
        ("a.|)$(}+{bc", "a.|)$(}+{bc", True),
        (".*", ".foo", True),
        (".*", "foo", False),
        ("**/foo/bar", "foo/bar", True),
        ("**/foo/bar", "dir/foo/bar", True),
        ("**/foo/bar", "dir/foo/barz", False),
        ("abc/**", "abc", False),
        ("abc/**", "abc/def/ghi", True),
        ("**/.foo", ".foo", True),
        ("**/.foo", "bar.foo", False),
        ("./bin/*", "bin/abc", True),
        ("bin", "binary", False),
        ("../x", "x", False),
        ("a/../b", "b", True),
        ("a/**/b/**/c", "a/x/b/y/z/c", True),
        ("a/**/b/**/c", "a/b/c", True),
        ("a/**/b/**/c", "a/x/c", False),
    ],
)
def test_a_pattern_leaves_out(pattern, path, expected):
    assert Matcher([pattern]).ignores(path) is expected


@pytest.mark.parametrize(
    ("patterns", "path", "expected"),
    [
        (["*", "!a"], "a", False),
        (["*", "!a"], "b", True),
        (["*", "!a", "a"], "a", True),
        (["!a", "*"], "a", True),
        (["docs", "!docs/README.md"], "docs/README.md", False),
        (["docs", "!docs/README.md"], "docs/other", True),
        (["docs/*", "!docs/a"], "docs/a/b", False),
        (["**", "!util/docker/web"], "util/docker/web/foo", False),
        (["**", "!util/docker/web", "util/docker/web/foo"], "util/docker/web/foo", True),
        (["**", "!dist/*", "dist/x"], "dist/y", False),
        (["util", "!util/a*"], "util/b/a", True),
        (["*.md", "!README*.md", "README-secret.md"], "README-secret.md", True),
        (["*.md", "!README*.md", "README-secret.md"], "README-x.md", False),
        (["**/*", "!**/*.go"], "a/b/c.go", False),
        ([], "a", False),
    ],
)
def test_the_last_pattern_that_matches_decides(patterns, path, expected):
    matcher = Matcher(patterns)
    assert matcher.ignores(path) is expected
    assert walked(matcher, path) is expected


def walked(matcher: Matcher, path: str) -> bool:
    said = NOTHING_MATCHED
    parts = path.split("/")
    ignored = False
    for depth in range(1, len(parts) + 1):
        ignored, said = matcher.below("/".join(parts[:depth]), said)
    return ignored


@pytest.mark.parametrize("pattern", ["[", "a[", "[]", "[^]", "[a-", "a\\", "!", "[]a]", "[-x]"])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(InvalidPattern):
        Matcher([pattern])


def test_the_file_is_read_line_by_line():
    data = b"\xef\xbb\xbf# comment\n  # no comment\n\n  a/  \r\n/b\n! /c/../d\n./e//f\n.\n/\n"
    assert ignore.read(data) == ["# no comment", "a", "b", "!d", "e/f", ".", "/"]


@pytest.mark.parametrize(
    ("patterns", "folder", "expected"),
    [
        (["a"], "a", True),
        (["a", "!b/c"], "a", True),
        (["a", "!a/b"], "a", False),
        (["a", "!a/b/c"], "a/b", False),
        (["a", "!a/b/c"], "a/x", True),
        (["a", "!**/keep"], "a", False),
        (["a", "!*/keep"], "a", False),
        (["a", "!a"], "a/x", True),
    ],
)
def test_a_folder_is_passed_over_where_nothing_beneath_comes_back(patterns, folder, expected):
    assert Matcher(patterns).prunes(folder) is expected


def test_many_stars_take_no_more_time_than_they_are_long():
    """A backtracking matcher would not come back from this one."""
    assert not Matcher(["*a" * 60 + "b"]).ignores("a" * 250)
    assert not Matcher(["**/a" * 30 + "/b"]).ignores("/".join("a" * 2000))


NAMES = st.text("ab.", min_size=1, max_size=4).filter(lambda name: name not in (".", ".."))
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PARTS = st.one_of(NAMES, st.sampled_from(["*", "?", "**", "a*", "*b", "[ab]*", "a?", "*a*b*"]))
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
LINES = st.tuples(st.sampled_from(["", "", "!"]), PATTERNS).map("".join)


def general(pattern: str) -> re.Pattern[str]:
    """Say a pattern as one regular expression, whatever kind it is of."""
    out, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**", at):
            at += 2
            at += pattern.startswith("/", at)
            out += ".*" if at == len(pattern) else "(.*/)?"
            continue
        char = pattern[at]
        at += 1
        if char == "[":
            end = pattern.index("]", at)
            out += "[" + pattern[at:end] + "]"
            at = end + 1
        else:
            out += {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char))
    return re.compile(out)


@given(PATTERNS, PATHS)
def test_every_kind_of_matcher_agrees_with_the_general_expression(pattern, path):
    text = ignore.clean(pattern)
    matcher = Matcher([text])
    parts = path.split("/")
    expected = any(
        general(text).fullmatch("/".join(parts[:depth])) for depth in range(1, len(parts) + 1)
    )
    assert matcher.ignores(path) is expected
    assert ignore._Machine(text).matches(path) is bool(general(text).fullmatch(path))


@given(st.lists(PATTERNS, max_size=5), PATHS)
def test_a_walk_says_what_a_single_question_says(lines, path):
    matcher = Matcher(lines)
    assert walked(matcher, path) is matcher.ignores(path)


def test_what_is_brought_back_before_it_is_ignored_counts_in_a_single_question_alone():
    """moby's two ways to ask differ here: a walk does not look again at what it has left behind."""
    matcher = Matcher(["a/a", "!a"])
    assert not matcher.ignores("a/a")
    assert walked(matcher, "a/a")


@given(st.lists(LINES, max_size=5), PATHS)
def test_nothing_that_is_taken_lies_in_a_folder_that_is_passed_over(lines, path):
    matcher = Matcher(lines)
    said, passed = NOTHING_MATCHED, False
    parts = path.split("/")
    for depth in range(1, len(parts) + 1):
        folder = "/".join(parts[:depth])
        ignored, said = matcher.below(folder, said)
        assert ignored or not passed
        passed = passed or (ignored and matcher.prunes(folder))


@given(st.text(max_size=40))
def test_no_text_breaks_the_reader(text):
    try:
        Matcher(ignore.read(text.encode("utf-8", "surrogatepass"))).ignores("a/b")
    except InvalidPattern:
        pass
